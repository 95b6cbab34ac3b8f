"""Run detectors over images."""
