"""Settings of one detector."""

from tessera.settings import Settings


class DetectorSettings(Settings):
    """One detector: what it starts from, how it is trained, exported and checked."""
