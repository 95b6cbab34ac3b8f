"""Previews: what a detector sees in a source, to look at and to correct."""

from tessera.settings import Settings


class PreviewSettings(Settings):
    """Which sources are previewed, and which frames are offered for correction."""
