"""Detectors run over pictures."""
