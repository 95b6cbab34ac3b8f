"""Read the pictures of clips, and choose those that are measured."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tessera.core.errors import Failed
from tessera.core.messages import pluralize
from tessera.imaging.crops import without_padding
from tessera.imaging.video import Packets, read_frames, read_packets

FAULT = "clip is not as its table says"


def frames_to_measure(keyframes: np.ndarray, samples: int) -> list[int]:
    """Return at most `samples` frames, evenly spaced from the first to the last, but some of them a little earlier; ascending.

    `keyframes`: bool (N,), whether each frame is a keyframe. The first sample from each keyframe on moves back to the frame
    after the keyframe, so that less is decoded; clips have a keyframe every half second. It does not move to the keyframe
    itself, because the compression of the clip shows blocks there that the footage does not have.
    """
    count = len(keyframes)
    indices = np.unique(np.linspace(0, count - 1, min(samples, count)).round().astype(int))
    before = np.maximum.accumulate(np.where(keyframes, np.arange(count), 0))[indices]
    is_first = np.diff(before, prepend=-1) > 0
    chosen: list[int] = np.where(is_first, np.minimum(indices, before + 1), indices).tolist()
    return chosen


def packets_of(path: Path, clip: Mapping[str, Any]) -> Packets:
    """Return the frames of the video `path` of `clip`, a row of `tables.Clips`.

    Raises `Failed` if it cannot be read or has another number of frames.
    """
    packets = read_packets(path)
    if len(packets) != clip["frames"]:
        raise Failed(FAULT, f"{path}: {pluralize(len(packets), 'frames')} instead of {clip['frames']}")
    return packets


def pictures_of(
    path: Path, clip: Mapping[str, Any], packets: Packets, wanted: Collection[int]
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the index and the picture of each of the `wanted` frames of `clip`, a row of `tables.Clips`, in order.

    `packets`: of its video `path`. A picture is uint8 (H, W, 3), RGB, without the padding. Raises `Failed` if it differs from
    the row.
    """
    for frame in read_frames(path, packets, wanted, threads=1):
        padded = frame.image()
        # Codecs with chroma subsampling round odd sides up to even ones.
        excess = np.subtract(padded.shape[:2], (clip["height"], clip["width"]))
        if excess.min() < 0 or excess.max() > 1:
            raise Failed(FAULT, f"{path}: {padded.shape[1]} by {padded.shape[0]} pixels")
        picture = without_padding(padded[: clip["height"], : clip["width"]], clip["pads"][frame.index])
        if not picture.size:
            raise Failed(FAULT, f"{path}: frame {frame.index} is nothing but padding")
        yield frame.index, picture
