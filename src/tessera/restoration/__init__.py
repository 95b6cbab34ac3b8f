"""Restoration: the model that brings back what a mosaic hides, trained on mosaics that are made as it trains."""
