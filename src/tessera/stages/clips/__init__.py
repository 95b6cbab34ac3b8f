"""Clips: detect regions in videos, track them, cut them out and score the clips."""
