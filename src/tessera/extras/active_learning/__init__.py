"""Ask people for the labels from which a classifier learns most."""
