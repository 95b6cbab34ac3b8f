"""Figures: the pictures of the report."""

from tessera.settings import Settings


class ReportSettings(Settings):
    """What the report shows."""
