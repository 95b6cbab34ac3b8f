"""Mosaics: regions that detectors see in sampled frames, chosen and covered with blocks."""
