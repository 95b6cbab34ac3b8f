"""Import of labels that people drew."""
