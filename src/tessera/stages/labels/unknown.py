"""Say which labels are unknown."""

from collections import Counter
from collections.abc import Mapping, Sequence

from tessera.core.messages import format_counts, pluralize, truncate

SHOWN = 5  # files with unknown labels that a message lists


def describe_unknown(unknown: Mapping[str, Sequence[str]], what: str, files: str, classes: Sequence[str], fix: str) -> str:
    """Return in words which files have how many things with which `unknown` labels, and how to use them.

    `unknown`: the labels by the name of the file, in quotes. `what`, `files`: what has a label, and what the files are, in the
    plural.
    """
    count = pluralize(sum(map(len, unknown.values())), what)
    listed = [f"{name}: {format_counts(Counter(f'{label!r:.40}' for label in values))}" for name, values in unknown.items()]
    lines = [f"{pluralize(len(listed), files)} left out, with {count} of unknown labels:", *truncate(listed, SHOWN)]
    return "\n  ".join(lines) + f"\nknown are {', '.join(map(repr, classes))}: {fix}"
