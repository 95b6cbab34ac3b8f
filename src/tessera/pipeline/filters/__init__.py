"""Filters: which of the clips stay."""
