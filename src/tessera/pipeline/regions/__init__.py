"""Regions: what detectors see in the sampled frames, and what of it gets a mosaic."""
