"""Labels that people drew."""
