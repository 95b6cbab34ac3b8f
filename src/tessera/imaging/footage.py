"""Footage of any kind, frame by frame: a video, an image, or a folder of images."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tessera.core.files import files_of

if TYPE_CHECKING:
    from tessera.imaging.video import VideoFrame


@dataclass(frozen=True)
class Still:
    """An image that is read like the frame of a video: its place among the images of its folder, and no time."""

    index: int
    path: Path
    pts: None = None
    time: None = None

    def image(self) -> np.ndarray:
        """Return the picture, upright: uint8 (H, W, 3), RGB. Raises `Failed` where it cannot be decoded."""
        from tessera.imaging.images import read_image

        return read_image(self.path)


def read_footage(path: Path, kind: str, indices: Iterable[int]) -> Iterator["VideoFrame | Still"]:
    """Yield the frames `indices`, which ascend, of `path`; there is none for an index beyond the end.

    `kind`: `video`, `image` or `folder`, as in `tables.Sources`. Nothing is decoded that the wanted frames do not need.
    Raises `Failed` where the footage cannot be opened.
    """
    from tessera.imaging.video import read_frames, read_packets

    if kind == "video":
        packets = read_packets(path)
        yield from read_frames(path, packets, (index for index in indices if index < len(packets)))
    else:
        files = files_of(path)
        yield from (Still(index, files[index]) for index in indices if index < len(files))
