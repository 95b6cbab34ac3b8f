"""Scenes: what a detector sees in videos, followed from frame to frame."""
