"""Demo footage with ground truth."""
