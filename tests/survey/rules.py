"""Differences that are meant: each rule says why a film may differ from what FFmpeg's command-line tool decodes."""

from collections.abc import Callable

from compare import Difference, Film

Rule = Callable[[Film, Difference], bool]
RULES: list[tuple[str, Rule]] = []


def explained(film: Film, difference: Difference) -> str | None:
    """Return the reason for which `film` may have this `difference`, or None if it is unexplained."""
    return next((reason for reason, holds in RULES if holds(film, difference)), None)
