"""What pictures and clips go through on their way to a viewer."""
