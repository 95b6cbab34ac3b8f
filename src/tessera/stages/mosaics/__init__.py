"""Choose regions that detectors find in sampled frames, draw mosaics on them, and import the masks."""
