"""Remove the results of sources that are no longer in the manifest."""

import os
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

from tessera.core.errors import TesseraError
from tessera.core.files import file_name
from tessera.core.ledger import read_ledger
from tessera.core.log import tell
from tessera.core.messages import pluralize, truncate
from tessera.core.tsv import write_sheet
from tessera.learning.trainings import RECORD, read_record
from tessera.records.frame_keys import source_of
from tessera.records.tables.splits import Splits
from tessera.records.tables.table import read_table

DEPTH = 7  # folders below each other in which trainings are looked for, such as MODEL/folds/FOLD/runs/RUN


def remove_withdrawn(
    folders: Sequence[Path],
    shards: Iterable[str],
    trainings: Path,
    sources: Collection[str],
    switched_off: Mapping[Path, Sequence[Path]],
    made: Mapping[Path, Sequence[Path]],
    embeddings: Mapping[Path, Collection[str]],
    refused: Sequence[Path] = (),
    *,
    withdrawn: Path,
) -> None:
    """Remove the results of sources that are no longer in the manifest, and list them in the TSV file `withdrawn`.

    `folders`: folders with one folder per shard. Folders of shards that are not among `shards` are removed; anything that does
    not have the name of a shard stays. A shard is also gone if all of its sources are in other shards now.

    `trainings`: the folder of all trainings. Trainings that learned from a source that is not among `sources` are removed.
    A part of a set of images, `SET/PART`, belongs to the source `SET`. `switched_off`: the folders and files of each
    dataset and model that is not made any more, by what lists its sources: the table of its splits (`tables.Splits`), the
    folder of its trainings, or the ledger (.jsonl) of frames and crops. They are removed if a source is not among
    `sources`; those of others are made again anyway. `made`: the folders and files of each other dataset, by the table of
    its splits. They are removed if no source is among `sources`, because it may be that there is nothing to make the
    dataset of again. `embeddings`: folders with one folder per embedding, each with the names of those that are declared.
    Folders of others are removed, because they may show any source. `refused`: what there is of face sets that may not be made
    any more, and pages that show them. It is removed whatever its sources are.

    A folder of `folders` may be a link to another disk. There, only shards are removed of which another one of `folders` has
    `sources.parquet`, because not everything there need be ours. No other links are followed: raises `TesseraError` that
    names those to results that should go, after all else is removed.
    """

    def is_current(source: str) -> bool:
        return source in sources or source.split("/")[0] in sources

    names = {_crop_name(file_name(source)) for source in sources}
    current_shards = set(shards)
    removed: dict[str, list[str]] = {}  # the folders of each shard that is gone
    moved = set()  # the shards that are gone because their sources are in other ones
    known = {table.parent.name for folder in folders for table in folder.glob("*/sources.parquet")}
    links = []
    # What is known of the shards goes last: it is needed again if this is interrupted, or a link is left.
    for folder in sorted(folders, key=lambda folder: any(folder.glob("*/sources.parquet"))):
        if not folder.is_dir():
            continue
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            is_shard = entry.name in known if folder.is_symlink() else file_name(unquote(entry.name)) == entry.name
            if entry.name in current_shards or not is_shard or not entry.is_dir():
                continue
            table, ledger = Path(entry.path, "sources.parquet"), Path(entry.path, "ledger.jsonl")
            if entry.is_symlink():
                links += [entry.path] if entry.name in known else []
                continue
            if table.exists() and entry.name in {Path(link).name for link in links}:
                continue
            if table.exists() and ledger.exists() and all(is_current(row["key"]) for row in read_ledger(ledger)):
                moved.add(entry.name)
            shutil.rmtree(entry.path)
            removed.setdefault(entry.name, []).append(entry.path)
    obsolete = [
        path
        for listing, paths in switched_off.items()
        if not (names.issuperset(_names(listing)) if listing.suffix == ".jsonl" else all(map(is_current, _sources(listing))))
        for path in paths
    ]
    obsolete += [
        path
        for listing, paths in made.items()
        if (listed := _sources(listing)) and not any(map(is_current, listed))
        for path in paths
    ]
    obsolete += [
        Path(entry.path)
        for folder, declared in embeddings.items()
        if folder.is_dir() and not folder.is_symlink()
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name)
        if entry.is_dir() and entry.name not in declared
    ]
    obsolete += refused
    obsolete = [path for path in dict.fromkeys(obsolete) if path.exists()]
    links += [str(path) for path in obsolete if path.is_symlink()]
    obsolete = [path for path in obsolete if not path.is_symlink()]
    for path in obsolete:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
        tell(f"removed {path}: it is not made of these sources any more, and may show or have learned from a withdrawn one")
    runs = [
        file.parent
        for file in _records(trainings)
        if file.parent.parent.name == "runs" and not all(map(is_current, read_record(file).sources))
    ]
    links += [str(run) for run in runs if run.is_symlink()]
    runs = [run for run in runs if not run.is_symlink()]
    for run in runs:
        shutil.rmtree(run)
        tell(f"removed the training {run}: it learned from a source that is no longer in the manifest")
    rows = []
    for shard, shard_folders in removed.items():
        status = "removed, its sources are in other shards now" if shard in moved else "removed"
        rows += [(shard_folder, status) for shard_folder in shard_folders]
    rows += [(str(path), "removed, it is not made any more") for path in obsolete]
    rows += [(str(run), "removed, it learned from a withdrawn source") for run in runs]
    write_sheet(withdrawn, ["path", "status"], rows)
    for why, gone in [
        ("are no longer in the manifest", removed.keys() - moved),
        ("are in other shards now (`shards`, or the column `shard`), where their results are made again", moved),
    ]:
        if gone:
            count = sum(len(removed[shard]) for shard in gone)
            tell(f"removed {pluralize(count, 'folders')} of {pluralize(len(gone), 'shards')}, whose sources {why}")
    if links:
        raise TesseraError(
            f"{', '.join(truncate(sorted(links), 10))}: delete these links and what they lead to, which shows or has learned"
            " from a withdrawn source: Tessera deletes nothing behind the link of a single result"
        )


def _records(folder: Path) -> list[Path]:
    """Return the records of all trainings in `folder`, also of those behind links, which `**` would not follow."""
    return sorted(file for depth in range(DEPTH) for file in folder.glob(f"{'*/' * depth}{RECORD}"))


def _sources(listing: Path) -> set[str]:
    """Return the sources in a table of splits or in the records of all trainings in a folder; none if it does not exist."""
    if listing.is_dir():
        return {source for file in _records(listing) for source in read_record(file).sources}
    return set(read_table(listing, Splits)["source"]) if listing.exists() else set()


def _names(ledger: Path) -> set[str]:
    """Return the names of the sources in the keys of the frames and crops in `ledger`; none if it does not exist."""
    keys = [row["key"] for row in read_ledger(ledger)] if ledger.exists() else []
    # A key of no frame is the id of a source without frames.
    return {_crop_name(source_of(key, by_hand=False) or key) for key in keys}


def _crop_name(name: str) -> str:
    """Return `name` with its dots as in the keys of crops, which write them differently from those of frames."""
    return name.replace(".", "%2E")
