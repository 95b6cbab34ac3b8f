"""Annotations of images: one model, the tables that hold it, and a module per file format."""
