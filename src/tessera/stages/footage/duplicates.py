"""Duplicates: images that look the same, found by perceptual hash."""

from pathlib import Path

from pydantic import Field

from tessera.core.ledger import Ledger
from tessera.core.settings import Settings
from tessera.imaging.near_hashes import find_duplicates


class DuplicateSettings(Settings):
    """When two images count as duplicates."""

    distance: int = Field(4, ge=0, le=16)
    """Largest number of bits, of 64, in which the perceptual hashes of two near-duplicates differ. 0 to 16. A picture that was
    re-encoded, scaled or brightened differs in 0 to 2 bits, and frames of different scenes in 20 or more. Frames that are
    seconds apart lie in between. Above 8, millions of images take long.
    """
    embeddings: tuple[str, ...] = ()
    """Names of `embeddings` whose near-duplicates count as well. Their weights must be declared. Weights that are trained here
    come too late to decide what they are trained on.
    """


def drop_duplicates(frames: list[Path], labelled: list[Path], table: Path, ledger: Path, settings: DuplicateSettings) -> None:
    """Write the images that duplicate a kept image to `table` (`tables.Duplicates`); `ledger` gets one row per image.

    `frames`: files of `tables.Frames`. `labelled`: files of `tables.Images`. Of several duplicates, a labelled image is kept
    rather than a frame, because labels are work; otherwise the first one by source and index. The division into shards does
    not matter.
    """
    import polars as pl

    from tessera.records.tables.annotation import Images
    from tessera.records.tables.footage import Duplicates, Frames
    from tessera.records.tables.table import read_tables, types, write_table

    order = pl.concat(
        [
            read_tables(labelled, Images).sort("source", "key").select("key", "phash"),
            read_tables(frames, Frames).sort("source", "index").select("key", "phash"),
        ]
    ).unique("key", keep="first", maintain_order=True)
    keys = order["key"].to_list()
    representatives, distances = find_duplicates(order["phash"].to_numpy(), settings.distance)
    rows = []
    with Ledger(ledger) as entries:
        for number, (key, representative, distance) in enumerate(
            zip(keys, representatives.tolist(), distances.tolist(), strict=True)
        ):
            if representative == number:
                entries.row(key, "ok")
            else:
                entries.row(key, "dropped", "looks like another", keys[representative])
                rows.append((key, keys[representative], distance))
    write_table(pl.DataFrame(rows, schema=types(Duplicates), orient="row"), Duplicates, table)
