"""Tessera: from footage to trained, exported models that find and restore mosaics."""

__version__ = "0.2.0"
