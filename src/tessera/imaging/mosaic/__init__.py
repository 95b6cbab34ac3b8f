"""Mosaics on images and clips."""
