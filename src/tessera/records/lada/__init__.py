"""Clips in the layout of Lada's datasets: their metadata, and a reader."""
