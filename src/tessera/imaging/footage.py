"""Read footage of any kind frame by frame: a video, an image, or a folder of images."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tessera.imaging.frame import VideoFrame


@dataclass(frozen=True)
class Still:
    """An admitted image, with the interface of a video frame: `index` is its position in its folder. It has no time
    stamp, and square pixels.

    `name`: its path below the folder; None if the source is the image itself.
    """

    index: int
    path: Path
    sha256: str
    name: str | None = None
    pts: None = None
    time: None = None
    aspect: None = None

    def image(self) -> np.ndarray:
        """Return the image, upright: uint8 (H, W, 3), RGB. Raises `Failed` if the file is not the one that was admitted."""
        from tessera.imaging.images import read_known

        return read_known(self.path, self.sha256)

    def square_image(self, *, deinterlace: bool = False) -> np.ndarray:
        """Return `image`: images have square pixels, and are not interlaced."""
        return self.image()


def read_footage(path: Path, kind: str, indices: Iterable[int], stills: Sequence[Still] = ()) -> Iterator["VideoFrame | Still"]:
    """Yield the frames `indices` of `path`, in ascending order; indices of no frame are ignored.

    `indices` must ascend. `kind`: `video`, `image` or `folder`, as in `tables.Sources`. `stills`: the admitted images of the
    latter two, see `records.stills`. Only the data that the wanted frames need is decoded. Raises `Failed` if the footage
    cannot be opened.
    """
    from tessera.imaging.video import read_frames, read_packets

    if kind == "video":
        packets = read_packets(path)
        yield from read_frames(path, packets, (index for index in indices if index < len(packets)))
    else:
        still_of = {still.index: still for still in stills}
        yield from (still_of[index] for index in indices if index in still_of)
