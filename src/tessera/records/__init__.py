"""The data that rooms exchange: tables, the manifest, decisions, annotations and clips."""
