"""Tell which labels are unknown."""

from collections import Counter
from collections.abc import Mapping, Sequence

from tessera.core.log import tell
from tessera.core.messages import counted, shortened, tallied

SHOWN = 5  # files with unknown labels that a message lists


def tell_unknown(unknown: Mapping[str, Sequence[str]], what: str, files: str, classes: Sequence[str], fix: str) -> None:
    """Print which files have how many things with which `unknown` labels, and how to use them.

    `unknown`: the labels by the name of the file, in quotes. `what`, `files`: what has a label, and what the files are, in the
    plural.
    """
    labels = Counter(label for found in unknown.values() for label in found)
    if labels:
        listed = [f"{name}: {tallied(Counter(f'{label!r:.40}' for label in found))}" for name, found in unknown.items()]
        lines = [f"{counted(len(listed), files)} left out, with {counted(labels.total(), what)} of unknown labels:"]
        tell("\n  ".join([*lines, *shortened(listed, SHOWN)]) + "\n" + f"known are {', '.join(map(repr, classes))}: {fix}")
