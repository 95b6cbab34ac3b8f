"""Sources: what each one is, and whether it may be used."""

from tessera.settings import Settings


class SourceSettings(Settings):
    """How sources are examined and admitted."""
