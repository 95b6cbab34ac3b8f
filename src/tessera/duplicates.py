"""Duplicates: images that look the same, found by perceptual hash."""

from tessera.settings import Settings


class DuplicateSettings(Settings):
    """When two images count as one."""
