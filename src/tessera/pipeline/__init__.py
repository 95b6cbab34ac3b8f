"""The rooms of the journey; none imports another."""
