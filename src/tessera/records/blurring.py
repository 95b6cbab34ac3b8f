"""Which pictures are shown without blur."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from tessera.records.label_sets import set_of

Blur = Literal["adult", "all", "none"]  # which pictures are blurred: those of adult sources, all, or none


def clear_keys(samples: Iterable[tuple[str, str]], sources: Path, sets: Mapping[str, str], blur: Blur) -> frozenset[str]:
    """Return the keys of those of `samples`, each a key and its source, that are shown without blur. All others are blurred.

    `sources`: `tables.Sources`. `sets`: the `content` of each set of images that the settings name, by the id that its sources
    start with. A source that neither states is blurred, unless nothing is.
    """
    from tessera.records.tables.footage import Sources
    from tessera.records.tables.table import read_table

    if blur == "all":
        return frozenset()
    stated = {**dict(read_table(sources, Sources).select("source", "content").iter_rows()), **sets}
    return frozenset(key for key, source in samples if blur == "none" or stated.get(set_of(source, sets)) == "general")
