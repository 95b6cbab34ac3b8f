"""Filters: what clips are worth, and which of them stay."""
