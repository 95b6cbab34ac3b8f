"""Restore videos that show mosaics: the restored video, a comparison with the original, and a contact sheet of each."""
