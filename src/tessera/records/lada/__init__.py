"""Clips in the layout of Lada's datasets: written and read."""
