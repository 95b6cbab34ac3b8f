"""Active learning: ask people for the labels from which a classifier learns most."""
