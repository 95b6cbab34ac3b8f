"""WebDataset: tar files whose members are pictures, captions and what else is known of them."""

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

from pydantic import PositiveInt

from tessera.core.seeds import fraction
from tessera.core.settings import Settings
from tessera.extras.image_sets.layouts.picture import SPLITS, Picture, copies


class WebDatasetSettings(Settings):
    """How the samples are divided."""

    samples: PositiveInt = 1000
    """Largest number of samples in a tar file."""


def write(pictures: Sequence[Picture], folder: Path, settings: WebDatasetSettings, seed: int) -> None:
    """Write `SPLIT-000000.tar` and so on to `folder`. A sample has the members `STEM.EXT`, `STEM.txt` and `STEM.json`.

    A picture that is repeated is there several times, each time with the next of its captions. Samples are in an order drawn
    from the seed, so that each tar file has pictures of all folders; readers shuffle only a part of them at a time. Equal
    pictures and captions give equal bytes.
    """
    folder.mkdir(exist_ok=True)
    for split in SPLITS:
        copied = copies([picture for picture in pictures if picture.split == split], seed)
        samples = sorted(copied, key=lambda copy: (fraction(f"WebDataset {seed}", copy.stem), copy.stem))
        for number, first in enumerate(range(0, len(samples), settings.samples)):
            with tarfile.open(folder / f"{split}-{number:06d}.tar", "w", format=tarfile.PAX_FORMAT) as tar:
                for picture, stem, caption in samples[first : first + settings.samples]:
                    known = {"key": picture.key, "folder": picture.folder, **picture.columns}
                    # The part of a name up to its first dot says to which sample a member belongs.
                    name = stem.replace(".", "%2E")
                    _add(tar, f"{name}{picture.file.suffix}", picture.file.read_bytes())
                    _add(tar, f"{name}.txt", caption.encode())
                    _add(tar, f"{name}.json", json.dumps(known, ensure_ascii=False).encode())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # with owner, time and mode of its own
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
