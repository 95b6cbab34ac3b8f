"""Mosaics: how censors flatten a region into blocks, and samples that carry them."""
