"""Read footage of any kind frame by frame: a video, an image, or a folder of images."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tessera.core.files import files_of

if TYPE_CHECKING:
    from tessera.imaging.frame import VideoFrame


@dataclass(frozen=True)
class Still:
    """An image with the interface of a video frame: `index` is its position in its folder, and it has no time stamp."""

    index: int
    path: Path
    pts: None = None
    time: None = None

    def image(self) -> np.ndarray:
        """Return the image, upright: uint8 (H, W, 3), RGB. Raises `Failed` if it cannot be decoded."""
        from tessera.imaging.images import read_image

        return read_image(self.path)


def read_footage(path: Path, kind: str, indices: Iterable[int]) -> Iterator["VideoFrame | Still"]:
    """Yield the frames `indices` of `path`, in ascending order; indices beyond the end are ignored.

    `indices` must ascend. `kind`: `video`, `image` or `folder`, as in `tables.Sources`. Only the data that the wanted frames
    need is decoded. Raises `Failed` if the footage cannot be opened.
    """
    from tessera.imaging.video import read_frames, read_packets

    if kind == "video":
        packets = read_packets(path)
        yield from read_frames(path, packets, (index for index in indices if index < len(packets)))
    else:
        files = files_of(path)
        yield from (Still(index, files[index]) for index in indices if index < len(files))
