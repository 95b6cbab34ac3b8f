"""What was made of sources that are no longer in the manifest is removed."""

import csv
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import unquote

from tessera.core.files import file_name
from tessera.core.job import tell


def remove_withdrawn(folders: Sequence[Path], shards: Iterable[str], *, withdrawn: Path) -> None:
    """Remove what was made of shards that are not among `shards` any more, and list it in `withdrawn`, tab-separated.

    `folders`: those that have a folder for each shard. Only what bears the name of a shard is removed. A link is left alone,
    and so is what it leads to.
    """
    kept = set(shards)
    removed = []
    for folder in folders:
        if not folder.is_dir() or folder.is_symlink():
            continue
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            is_shard = file_name(unquote(entry.name)) == entry.name
            if entry.is_dir(follow_symlinks=False) and is_shard and entry.name not in kept:
                shutil.rmtree(entry.path)
                removed.append(entry)
    with withdrawn.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(["path", "status"])
        writer.writerows((entry.path, "removed") for entry in removed)
    if removed:
        shards_gone = {entry.name for entry in removed}
        tell(f"removed {len(removed)} folders of {len(shards_gone)} shards that are no longer in the manifest")
