"""Checks of `identities`: whether the crops that it names are embedded."""

from tessera.configuration.sections import Sections


def faults_in_identities(settings: Sections) -> list[str]:
    """Return why the crops that are to be identified have no vectors."""
    own = settings.identities
    if own is None:
        return []
    if own.embedding not in settings.embeddings:
        known = ", ".join(settings.embeddings) or "there is none"
        return [f"`identities.embedding` is {own.embedding!r}; it should be one of `embeddings`: {known}"]
    if own.step not in settings.embeddings[own.embedding].crops:
        return [f"`identities.step` is {own.step!r}, and `embeddings.{own.embedding}.crops` does not name it: add it there"]
    return []
