"""Splits: which samples train, which validate, which test."""

from tessera.settings import Settings


class SplitSettings(Settings):
    """How the samples of a dataset are divided."""
