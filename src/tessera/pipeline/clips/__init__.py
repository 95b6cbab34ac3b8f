"""Clips cut out of videos."""
