"""Pretrained weights: declare them in the settings, fetch and verify them."""
