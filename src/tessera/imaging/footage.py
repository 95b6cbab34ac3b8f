"""Read footage of any kind frame by frame: a video, an image, or a folder of images."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tessera.core.files import files_of

if TYPE_CHECKING:
    from tessera.imaging.frame import VideoFrame


@dataclass(frozen=True)
class Still:
    """An image with the interface of a video frame: `index` is its position in its folder, and it has no time stamp.

    `name`: its path below the folder; None if the source is the image itself.
    """

    index: int
    path: Path
    name: str | None = None
    pts: None = None
    time: None = None

    def image(self) -> np.ndarray:
        """Return the image, upright: uint8 (H, W, 3), RGB. Raises `Failed` if it cannot be decoded."""
        from tessera.imaging.images import read_image

        return read_image(self.path)


def read_stills(path: Path) -> list[Still]:
    """Return the image `path`, or the pictures in the folder `path`, sorted by their names; see `files_of`."""
    return [
        Still(index, file, None if file == path else file.relative_to(path).as_posix())
        for index, file in enumerate(files_of(path))
    ]


def read_footage(path: Path, kind: str, frames: Iterable[Mapping[str, Any]]) -> Iterator["VideoFrame | Still"]:
    """Yield those of the `frames` of `path` that are there, in their order, which is ascending.

    `frames`: for each its `index` and, if `path` is a folder, its `name`, as in `tables.PredictedFrames`. `kind`: `video`,
    `image` or `folder`, as in `tables.Sources`. Only the data that the wanted frames need is decoded. Raises `Failed` if the
    footage cannot be opened.
    """
    from tessera.imaging.video import read_frames, read_packets

    if kind == "video":
        packets = read_packets(path)
        yield from read_frames(path, packets, (frame["index"] for frame in frames if frame["index"] < len(packets)))
    else:
        yield from (Still(frame["index"], path / (frame["name"] or ""), frame["name"]) for frame in frames)
