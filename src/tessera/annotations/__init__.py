"""Annotations: every format is read into one model, and written from it."""
