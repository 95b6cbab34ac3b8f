"""What was made of sources that are no longer in the manifest is removed."""

import csv
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import unquote

from tessera.core.files import file_name
from tessera.core.job import tell
from tessera.pipeline.footage.admission import SHOWN

# Below the results, what has a folder for each shard.
SHARD_FOLDERS = (
    "sources/shards",
    "frames",
    "annotations/frames",
    "watermarks/frames",
    "regions",
    "mosaics",
    "scenes",
    "clips",
    "previews",
)


def remove_withdrawn(
    results: Path, shards: Iterable[str], proposed: Iterable[Path], edited: Sequence[Path], *, withdrawn: Path
) -> None:
    """Remove what was made of shards that are not among `shards` any more, and list it in `withdrawn`.

    Only folders below `results` that bear the name of a shard are removed; a link is left alone, and so is what it leads to.
    `proposed` are folders whose proposals are removed already, `edited` the files that are left there: these are named.
    """
    kept = set(shards)
    removed = []
    for parent in SHARD_FOLDERS:
        folder = results / parent
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
        writer.writerows((str(path), "untouched proposals removed") for path in proposed)
        writer.writerows((str(path), "edited by a person: left") for path in edited)
    if removed:
        shards_gone = {entry.name for entry in removed}
        tell(f"removed {len(removed)} folders of {len(shards_gone)} shards that are no longer in the manifest")
    if edited:
        shown = ", ".join(repr(str(path)) for path in edited[:SHOWN])
        more = f" and {len(edited) - SHOWN} more, in withdrawn.tsv" if len(edited) > SHOWN else ""
        tell(f"a person edited what was proposed for sources no longer in the manifest: {shown}{more}; delete it yourself")
