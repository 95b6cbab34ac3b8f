"""Write the dataset of clips in the layout that Lada's trainer reads, with a table of all clips."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from tessera.core.errors import TesseraError
from tessera.core.files import link_or_copy
from tessera.core.progress import progress
from tessera.records.lada.metadata import IMAGES, MASKS, METADATA, metadata
from tessera.records.tables.clips import Clips, Scores
from tessera.records.tables.splits import Splits
from tessera.records.tables.table import read_table, write_table


def write_clip_dataset(
    clips: Path,
    scores: Path,
    splits: Path,
    images: Sequence[Path],
    masks: Sequence[Path],
    folders: Mapping[str, Path],
    table: Path,
) -> None:
    """Write each of `clips` to the folder of its split: pictures, masks and metadata, see `tessera.records.lada`.

    `clips`, `scores`, `splits`: `tables.Clips`, `tables.Scores` and `tables.Splits` of the selected clips. `images`, `masks`:
    the folders with the files of all clips; the files are linked to save space. `folders`: the output folder of each split; it
    stays empty if the split has no clip. `table` gets the clips, sorted by key, with their split.

    Raises `TesseraError` if a file of a clip is missing.
    """
    frame = read_table(clips, Clips).sort("key")
    score_of = {row["key"]: row for row in read_table(scores, Scores).iter_rows(named=True)}
    split_of = dict(read_table(splits, Splits).select("key", "split").iter_rows())
    files = {(file.suffix, file.stem): file for folder in (*images, *masks) for file in folder.iterdir()}
    for folder in folders.values():
        folder.mkdir()
    for split in sorted(set(split_of.values())):
        for name in (IMAGES, MASKS, METADATA):
            (folders[split] / name).mkdir()
    for row in progress(frame.iter_rows(named=True), frame.height, "clips"):
        key, folder = row["key"], folders[split_of[row["key"]]]
        for name, suffix in ((IMAGES, ".mp4"), (MASKS, ".mkv")):
            if (suffix, key) not in files:
                raise TesseraError(
                    f"the clip {key!r} of {row['source']!r} has no file {key}{suffix}; delete the folder of its shard in"
                    " results/clips and run again"
                )
            link_or_copy(files[suffix, key], folder / name / f"{key}{suffix}")
        content = json.dumps(metadata(row, score_of.get(key)), indent=1) + "\n"
        (folder / METADATA / f"{key}.json").write_text(content, encoding="utf-8")
    split = pl.col("key").replace_strict(split_of, return_dtype=pl.String)
    write_table(frame.with_columns(split=split), Clips, table)
