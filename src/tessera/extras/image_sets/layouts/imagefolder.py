"""Hugging Face's imagefolder: a folder for each split, with a table of its pictures."""

import json
from collections.abc import Sequence
from pathlib import Path

from tessera.core.files import link_or_copy
from tessera.core.settings import Settings
from tessera.extras.image_sets.layouts.picture import Picture, copies, folders

NAMES = {"val": "validation"}  # the names of splits that differ from ours


class ImageFolderSettings(Settings):
    """Settings of an imagefolder; there are none."""


def write(pictures: Sequence[Picture], folder: Path, settings: ImageFolderSettings, seed: int) -> None:
    """Write `SPLIT/FOLDER/KEY.EXT` and `SPLIT/metadata.jsonl` to `folder`, with a line for each file.

    A picture that is repeated is there several times, as `KEY+1` and so on, each time with the next of its captions.
    """
    lines: dict[str, list[str]] = {}
    for (split, name), inside in folders(pictures).items():
        subfolder = folder / NAMES.get(split, split)
        (subfolder / name).mkdir(parents=True, exist_ok=True)
        for picture, stem, caption in copies(inside, seed):
            file = Path(name, stem + picture.file.suffix)
            link_or_copy(picture.file, subfolder / file)
            # An empty list has no type, and the columns of all splits must have the same types. No name has a comma.
            known = {name: ", ".join(value) if isinstance(value, list) else value for name, value in picture.columns.items()}
            row = {"file_name": file.as_posix(), "text": caption, "key": picture.key, "folder": name, **known}
            lines.setdefault(subfolder.name, []).append(json.dumps(row, ensure_ascii=False))
    for split, rows in lines.items():
        (folder / split / "metadata.jsonl").write_text("\n".join([*rows, ""]), encoding="utf-8", newline="\n")
