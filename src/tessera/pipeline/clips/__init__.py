"""Clips: what a detector sees in videos, followed, cut out and scored."""
