"""Demo footage with known truth."""
