"""Brightness: whether a frame is dark or bright, and a model that can tell."""
