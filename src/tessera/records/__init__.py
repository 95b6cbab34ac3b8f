"""The data that stages exchange: tables, the manifest, decisions, annotations and clips."""
