"""Names of files, and how two of them mean the same file.

Systems store one name differently: macOS decomposes letters with accents (NFD), others compose them (NFC), and some ignore
case. An equal name always goes first, so that nothing is taken for another thing whose own name is stated.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath
from typing import Generic, TypeVar

T = TypeVar("T")


def composed(name: str) -> str:
    """Return `name` with its letters composed: the names that look the same become equal."""
    return unicodedata.normalize("NFC", name)


def folded(name: str) -> str:
    """Return `name` without differences of case and of how its letters are composed."""
    return composed(composed(name).casefold())


def _in_folded_folder(name: str) -> str:
    path = PurePosixPath(name)
    return f"{folded(path.parent.as_posix())}/{composed(path.name)}"


# From the strictest to the loosest. Case in folders matters less than in the names of files.
LEVELS: tuple[Callable[[str], str], ...] = (str, composed, _in_folded_folder, folded)


class Names(Generic[T]):
    """Things with names or paths, to find them by a name that was written elsewhere."""

    def __init__(self, things: Iterable[tuple[str, T]]) -> None:
        self._things = list(things)
        self._levels: dict[Callable[[str], str], dict[str, list[T]]] = {}

    def find(self, name: str) -> list[T]:
        """Return the things called `name`: those with an equal name; if there are none, with an equal one in composed letters;
        if there are none, with one that differs in case. If several are returned, it is not known which is meant.
        """
        return next((matches for level in LEVELS if (matches := self._level(level).get(level(name)))), [])

    def _level(self, level: Callable[[str], str]) -> dict[str, list[T]]:
        if level not in self._levels:
            keyed: dict[str, list[T]] = defaultdict(list)
            for name, thing in self._things:
                keyed[level(name)].append(thing)
            self._levels[level] = dict(keyed)
        return self._levels[level]


def pair_names(names: Iterable[str], others: Iterable[str]) -> dict[str, str]:
    """Return the one of `others` that belongs to each of `names`, where it is known. No name is in two pairs.

    Equal names are paired first. Of the rest, two are paired if they look the same, or differ in case, and no third one does.
    """
    pairs: dict[str, str] = {}
    left, right = list(dict.fromkeys(names)), list(dict.fromkeys(others))
    for level in LEVELS:
        keyed: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
        for side, group in enumerate((left, right)):
            for name in group:
                keyed[level(name)][side].append(name)
        pairs |= {mine[0]: theirs[0] for mine, theirs in keyed.values() if len(mine) == len(theirs) == 1}
        taken = set(pairs.values())
        left = [name for name in left if name not in pairs]
        right = [name for name in right if name not in taken]
    return pairs
