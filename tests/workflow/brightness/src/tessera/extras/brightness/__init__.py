"""Brightness: classify frames as dark or bright."""
