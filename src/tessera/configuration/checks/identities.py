"""Checks of `identities`: whether the crops that it names are embedded."""

from tessera.configuration.sections import Sections


def faults_in_identities(settings: Sections) -> list[str]:
    """Return why the crops that are to be identified have no vectors."""
    identities = settings.identities
    if identities is None:
        return []
    if identities.embedding not in settings.embeddings:
        known = ", ".join(settings.embeddings) or "there is none"
        return [f"`identities.embedding` is {identities.embedding!r}; it should be one of `embeddings`: {known}"]
    if identities.step not in settings.embeddings[identities.embedding].crops:
        crops = f"embeddings.{identities.embedding}.crops"
        return [f"`identities.step` is {identities.step!r}, and `{crops}` does not name it: add it there"]
    return []
