"""Settings of the annotations."""

from tessera.settings import Settings


class AnnotationSettings(Settings):
    """Where labels come from, and which of them count."""
