"""Datasets: selected, divided, written and described."""
