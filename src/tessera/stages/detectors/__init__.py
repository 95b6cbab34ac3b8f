"""Detectors: trained, measured, exported and checked."""
