"""Watermarks drawn over pictures."""
