"""Mosaics on pictures and clips."""
