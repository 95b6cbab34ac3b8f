"""Functions on pictures and videos; nothing of the journey."""
