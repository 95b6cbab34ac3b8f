"""Plain folders: each picture beside a text file with its caption, as often as it is repeated."""

from collections.abc import Sequence
from pathlib import Path

from tessera.core.settings import Settings
from tessera.extras.image_sets.layouts.picture import Picture, copies, folders, put


class PlainSettings(Settings):
    """Settings of plain folders; there are none."""


def write(pictures: Sequence[Picture], folder: Path, settings: PlainSettings, seed: int) -> None:
    """Write `SPLIT/FOLDER/KEY.EXT` and `SPLIT/FOLDER/KEY.txt` to `folder`.

    A picture that is repeated is there several times, as `KEY+1` and so on, each time with the next of its captions.
    """
    for (split, name), inside in folders(pictures).items():
        subfolder = folder / split / name
        subfolder.mkdir(parents=True, exist_ok=True)
        for picture, stem, caption in copies(inside, seed):
            put(picture, [caption], subfolder, stem)
