"""Photographs as those that the starter models learn from."""

from pathlib import Path

import cv2
from skimage import data

from tessera.demo.packages import Picture
from tessera.imaging.images import write_image

SPLITS = {"coffee": "train", "chelsea": "val", "astronaut": "test"}


def write_pictures(folder: Path, splits: dict[str, str], kind: str = "photograph") -> list[Picture]:
    """Write photographs of 260 pixels, and return their rows in the table of pictures."""
    rows = []
    for number, (name, split) in enumerate(splits.items()):
        row = {"kind": kind, "split": split, "package": "walls=1", "file": "a.png", "licence": "CC0", "author": ""}
        rows.append(Picture.model_validate({**row, "sha256": f"{number:x}" * 64}))
        picture = getattr(data, name)()
        scale = 260 / max(picture.shape[:2])
        write_image(folder / rows[-1].name, cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    return rows
