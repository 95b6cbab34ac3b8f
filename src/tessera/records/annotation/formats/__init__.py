"""Annotation formats: a reader and a writer each, to and from one model."""
