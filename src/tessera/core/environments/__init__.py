"""Separate virtual environments: build them from lock files, and call functions in them."""
