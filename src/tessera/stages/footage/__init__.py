"""Footage: admit sources, sample frames, find duplicates."""
