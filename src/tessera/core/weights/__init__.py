"""Pretrained weights: declared in the settings, fetched and verified."""
