"""Previews: what a detector sees in footage, to look at and to correct."""
