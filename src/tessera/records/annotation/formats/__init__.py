"""File formats of annotations: a reader and a writer for each, to and from one model."""
