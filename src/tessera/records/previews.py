"""Which sources are previewed or restored, and whether all of them could be."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from tessera.core.errors import TesseraError
from tessera.core.ledger import read_ledger, summarise
from tessera.core.messages import pluralize
from tessera.records.manifest import AnySource

KNOWN_SHOWN = 10  # most ids that a message lists, the most similar first


def ids_of(shards: Mapping[str, Sequence[AnySource]], is_wanted: Callable[[AnySource], bool]) -> dict[str, list[str]]:
    """Return the ids of the sources for which `is_wanted` is true, by shard, without the shards that have none."""
    by_shard = {shard: [source.source for source in sources if is_wanted(source)] for shard, sources in shards.items()}
    return {shard: ids for shard, ids in by_shard.items() if ids}


def check_ids(named: Mapping[str, Collection[str]], known: Sequence[str], which: str = "") -> None:
    """Raise `TesseraError` if one of the ids that settings name is not `known`. `named`: the ids, by their setting.

    `which`: what distinguishes the known sources from others of the manifest, such as ` that is restored`.
    """
    for key, ids in named.items():
        for name in sorted(set(ids) - set(known)):
            near = [repr(other) for other in get_close_matches(name, known, n=KNOWN_SHOWN, cutoff=0)]
            known_ones = ", ".join([*near, "…"] if len(known) > KNOWN_SHOWN else near) or "none"
            raise TesseraError(f"{key}: the manifest has no source {name!r}{which}; it has {known_ones}. Correct the id")


def summarise_sources(
    ledgers: Sequence[Path], wanted: Collection[str], asked: Collection[str], summary: Path, *, done: str, fix: str
) -> None:
    """Write the summary of all `ledgers` to `summary`, as JSON; see `summarise`.

    `wanted`: the ids of the sources. `asked`: those that a person named. Raises `TesseraError`, naming each of them, if a
    source failed or one in `asked` was dropped. `done`: what is made of sources, such as "previewed". `fix`: how to go on.
    """
    rows = [row for path in ledgers for row in read_ledger(path)]
    missing = [
        row
        for row in rows
        if row["key"] in wanted and (row["status"] == "failed" or (row["status"] == "dropped" and row["key"] in asked))
    ]
    if missing:
        listed = "\n".join(f"  {': '.join(filter(None, (row['key'], row['reason'], row['detail'])))}" for row in missing)
        raise TesseraError(
            f"{len(missing):,} of {pluralize(len(wanted), 'sources')} cannot be {done}:\n{listed}\nthe others are in"
            f" {summary.parent}/SHARD; {fix}"
        )
    summary.write_text(json.dumps(summarise(rows), indent=2) + "\n", encoding="utf-8")
