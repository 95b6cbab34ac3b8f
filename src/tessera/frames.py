"""Frames: which pictures of a source are looked at."""

from tessera.settings import Settings


class FrameSettings(Settings):
    """Which frames are sampled, and how they are stored."""
