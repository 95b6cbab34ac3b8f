"""Remove the results of sources that are no longer in the manifest."""

import os
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

from tessera.core.files import file_name
from tessera.core.ledger import read_ledger
from tessera.core.log import tell
from tessera.core.messages import pluralize
from tessera.core.tsv import write_sheet
from tessera.learning.trainings import RECORD, read_record
from tessera.records.frame_keys import source_of
from tessera.records.tables.splits import Splits
from tessera.records.tables.table import read_table


def remove_withdrawn(
    folders: Sequence[Path],
    shards: Iterable[str],
    trainings: Path,
    sources: Collection[str],
    switched_off: Mapping[Path, Sequence[Path]],
    made: Mapping[Path, Sequence[Path]],
    embeddings: Mapping[Path, Collection[str]],
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
    Folders of others are removed, because they may show any source. Links and their targets are never touched.
    """

    def is_current(source: str) -> bool:
        return source in sources or source.split("/")[0] in sources

    names = {_crop_name(file_name(source)) for source in sources}
    current_shards = set(shards)
    removed: dict[str, list[str]] = {}  # the folders of each shard that is gone
    moved = set()  # the shards that are gone because their sources are in other ones
    for folder in folders:
        if not folder.is_dir() or folder.is_symlink():
            continue
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            is_shard = file_name(unquote(entry.name)) == entry.name
            if entry.is_dir(follow_symlinks=False) and is_shard and entry.name not in current_shards:
                table, ledger = Path(entry.path, "sources.parquet"), Path(entry.path, "ledger.jsonl")
                if table.exists() and ledger.exists() and all(is_current(row["key"]) for row in read_ledger(ledger)):
                    moved.add(entry.name)
                shutil.rmtree(entry.path)
                removed.setdefault(entry.name, []).append(entry.path)
    obsolete = [
        path
        for listing, paths in switched_off.items()
        if not (names.issuperset(_names(listing)) if listing.suffix == ".jsonl" else all(map(is_current, _sources(listing))))
        for path in paths
        if path.exists() and not path.is_symlink()
    ]
    obsolete += [
        path
        for listing, paths in made.items()
        if (listed := _sources(listing)) and not any(map(is_current, listed))
        for path in paths
        if path.exists() and not path.is_symlink()
    ]
    obsolete += [
        Path(entry.path)
        for folder, declared in embeddings.items()
        if folder.is_dir() and not folder.is_symlink()
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name)
        if entry.is_dir(follow_symlinks=False) and entry.name not in declared
    ]
    for path in obsolete:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
        tell(f"removed {path}: it is not made of these sources any more, and may show or have learned from a withdrawn one")
    runs = [
        file.parent
        for file in sorted(trainings.glob(f"**/runs/*/{RECORD}"))
        if not all(map(is_current, read_record(file).sources))
    ]
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


def _sources(listing: Path) -> set[str]:
    """Return the sources in a table of splits or in the records of all trainings in a folder; none if it does not exist."""
    if listing.is_dir():
        return {source for file in listing.glob(f"**/{RECORD}") for source in read_record(file).sources}
    return set(read_table(listing, Splits)["source"]) if listing.exists() else set()


def _names(ledger: Path) -> set[str]:
    """Return the names of the sources in the keys of the frames and crops in `ledger`; none if it does not exist."""
    keys = [row["key"] for row in read_ledger(ledger)] if ledger.exists() else []
    # A key of no frame is the id of a source without frames.
    return {_crop_name(source_of(key, by_hand=False) or key) for key in keys}


def _crop_name(name: str) -> str:
    """Return `name` with its dots as in the keys of crops, which write them differently from those of frames."""
    return name.replace(".", "%2E")
