"""Degradations: what scaling, noise and compression do to a picture on its way."""
