"""Environments of their own: built from lock files, and work that is run in them."""
