"""Annotations of images: one model, its tables, and a module per file format."""
