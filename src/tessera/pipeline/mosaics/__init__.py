"""Mosaics put on frames."""
