"""Which sources are previewed, and whether all of them could be."""

import json
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from tessera.core.errors import TesseraError
from tessera.core.ledger import read_ledger, summarise
from tessera.core.log import tell
from tessera.core.messages import pluralize, truncate
from tessera.records.manifest import Source

KNOWN_SHOWN = 10  # most ids that a message lists, the most similar first
NO_MOSAIC = "no mosaic found"  # the reason for a source that is not restored


def previewed_sources(
    shards: Mapping[str, Sequence[Source]], asked: Sequence[str], named: Mapping[str, Collection[str]]
) -> dict[str, list[str]]:
    """Return the ids of the sources to preview, by shard: the ids in `asked`, or all if `asked` is empty.

    `named`: other ids of sources, by their setting. Raises `TesseraError` if one of all these ids is not in the manifest.
    """
    known = [source.source for sources in shards.values() for source in sources]
    for key, ids in {"preview.sources": asked, **named}.items():
        for name in sorted(set(ids) - set(known)):
            near = [repr(other) for other in get_close_matches(name, known, n=KNOWN_SHOWN, cutoff=0)]
            known_ones = ", ".join([*near, "…"] if len(known) > KNOWN_SHOWN else near)
            raise TesseraError(f"{key}: the manifest has no source {name!r}; it has {known_ones}. Correct the id")
    wanted = set(asked or known)
    by_shard = {shard: [source.source for source in sources if source.source in wanted] for shard, sources in shards.items()}
    return {shard: ids for shard, ids in by_shard.items() if ids}


def summarise_previews(ledgers: Sequence[Path], previewed: Sequence[str], asked: Sequence[str], summary: Path) -> None:
    """Write the summary of all `ledgers` to `summary`, as JSON; see `summarise`. Report the sources without a mosaic.

    `previewed`: the ids of the sources. `asked`: those that the settings name. Raises `TesseraError`, naming each of them, if a
    source failed or one in `asked` was refused.
    """
    rows = [row for path in ledgers for row in read_ledger(path)]
    plain = [row["key"] for row in rows if row["reason"] == NO_MOSAIC]
    if plain:
        tell(f"{NO_MOSAIC} in {', '.join(truncate(plain, KNOWN_SHOWN))}")
    missing = [
        row
        for row in rows
        if row["key"] in previewed
        and (row["status"] == "failed" or (row["status"] == "dropped" and row["key"] in asked and row["key"] not in plain))
    ]
    if missing:
        listed = "\n".join(f"  {row['key']}: {row['reason']}: {row['detail']}" for row in missing)
        raise TesseraError(
            f"{len(missing):,} of {pluralize(len(previewed), 'sources')} cannot be previewed:\n{listed}\nthe others are in"
            f" {summary.parent}/SHARD; fix these, or list only the others in preview.sources"
        )
    summary.write_text(json.dumps(summarise(rows), indent=2) + "\n", encoding="utf-8")
