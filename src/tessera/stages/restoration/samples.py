"""Make training samples: a window of a clip, with a mosaic and degradations, and its clean original.

The steps and their order are those of Lada 0.11 (https://github.com/ladaapp/lada), with these differences:

- The grid of blocks is anchored to the frame. Lada anchors it to the corner of the crop, which follows the region and changes
  its size. But real mosaics are a filter on the frame, or an object that moves with the region. Clips without their position
  in the frame, such as those made by Lada, can only be treated as in Lada; see the setting `anchor`.
- The size of the blocks depends on the masks of the window. Lada uses a figure in the metadata that counts only the outline
  that was found first. Every sample has a mosaic. In Lada, blocks of 1 pixel leave it unchanged, and blocks of 0 give an error.
- Clips are scaled down by area, which averages pixels. Lada scales with bilinear interpolation, which skips pixels. Both scale
  up with bilinear interpolation.
- The angle of a rotation is drawn uniformly from a range. In Lada, it is -2, -1, 1 or 2 degrees.
- Pixels that were mixed with padding are black, and `content` marks all others. In Lada, rounding leaves some of the padding.
- Colours are always RGB, and a mosaic does not darken the image. See `tessera.imaging.mosaic` and
  `tessera.imaging.degradation` for these and other differences.
- A training sample depends only on the seed, the epoch and its clip, not on the worker that makes it. A validation sample does
  not depend on the epoch, and is neither mirrored nor rotated. In Lada, it is rotated like a training sample.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from tessera.core.errors import Dropped, Failed
from tessera.core.messages import pluralize
from tessera.core.seeds import generator
from tessera.imaging.boxes import mask_box
from tessera.imaging.crops import Fit
from tessera.imaging.degradation.chain import degrade
from tessera.imaging.frame import VideoFrame
from tessera.imaging.images import resize
from tessera.imaging.mosaic.blocks import Mosaic, cover
from tessera.imaging.mosaic.drawing import draw_mosaic
from tessera.imaging.video import Packets, read_frames, read_packets
from tessera.records.lada.clips import Clip
from tessera.stages.restoration.settings import DataSettings

WINDOWS = 5  # windows of a clip that are searched for a region


@dataclass(frozen=True, eq=False)
class Sample:
    """A window of a clip as a restorer gets it, and as it should return it."""

    key: str
    first: int  # number of the first frame in the clip
    mosaicked: np.ndarray  # uint8 (T, H, W, 3), RGB
    clean: np.ndarray  # uint8 (T, H, W, 3), RGB
    mask: np.ndarray  # uint8 (T, H, W): 255 where the mosaic is, else 0
    content: np.ndarray  # uint8 (T, H, W): 0 in the padding, where the other arrays are black, else 255
    block: float  # pixels: the side of a square with the area of a block
    degradations: tuple[str, ...]  # names of the operations that degraded `mosaicked`, sorted


def draw_sample(clip: Clip, settings: DataSettings, *, frames: int, seed: int, epoch: int) -> Sample:
    """Return a random training sample of `frames` frames of `clip`, the same for equal `seed` and `epoch`.

    Raises `Dropped` if the clip is too short or no region was found, and `Failed` if it cannot be read.
    """
    return _make(clip, settings, frames, generator(seed, "restoration", f"{clip.key}\0{epoch}"), training=True)


def fixed_sample(clip: Clip, settings: DataSettings, *, frames: int, seed: int) -> Sample:
    """Return the validation sample of `frames` frames of `clip`: always the same, neither mirrored nor rotated.

    Raises `Dropped` if the clip is too short or no region was found, and `Failed` if it cannot be read.
    """
    return _make(clip, settings, frames, generator(seed, "restoration", clip.key), training=False)


def _make(clip: Clip, settings: DataSettings, frames: int, rng: np.random.Generator, training: bool) -> Sample:
    height, width = clip.shape
    tall, wide = Fit(clip.shape, settings.size, settings.keep_aspect).scaled
    first, mosaicked, clean, mask, mosaic = _cover(clip, settings, frames, rng, (tall, wide))
    # Few frames of a window differ in their padding.
    pads, pad_of = np.unique(clip.pads[first : first + frames], axis=0, return_inverse=True)
    content = np.empty((len(pads), tall, wide), np.uint8)
    for (top, bottom, left, right), scaled in zip(pads.tolist(), content, strict=True):
        inside = np.zeros(clip.shape, np.uint8)
        inside[top : height - bottom, left : width - right] = 255
        scaled[:] = resize(inside, tall, wide)
    across, down = mosaic.width * wide / width, mosaic.height * tall / height
    mosaicked, degradations = degrade(mosaicked, settings.degradations, rng, min(across, down))
    layers = [mosaicked, clean, mask, content]
    if settings.keep_aspect:
        layers = [_centre(images, settings.size) for images in layers]
    if training:
        if rng.random() < settings.flip:
            layers = [_mirror(images) for images in layers]
        if rng.random() < settings.rotate:
            angle = rng.uniform(-settings.angle, settings.angle)
            layers = [_rotate(images, angle) for images in layers]
    mosaicked, clean, mask, content = layers
    # Pixels that were mixed with padding count as padding.
    content = ((content == 255) * np.uint8(255))[pad_of.reshape(-1)]
    mask = (mask > 127) * content
    mosaicked, clean = _blacken(mosaicked, content), _blacken(clean, content)
    return Sample(clip.key, first, mosaicked, clean, mask, content, math.sqrt(across * down), degradations)


def _cover(
    clip: Clip, settings: DataSettings, frames: int, rng: np.random.Generator, scaled: tuple[int, int]
) -> tuple[int, np.ndarray, np.ndarray, np.ndarray, Mosaic]:
    """Draw a window and a mosaic.

    Return the number of the first frame, the window with and without the mosaic and the mask of the mosaic, all with the height
    and width `scaled`, and the mosaic. One frame is held in its own size: most of the time, memory would be waited for.
    """
    import cv2

    if clip.frames < frames:
        raise Dropped("clip shorter than the window", f"{clip.frames} of {frames} frames")
    windows = rng.permutation(clip.frames - frames + 1)[:WINDOWS].tolist()
    masks = np.empty((frames, *clip.shape), np.uint8)
    for first in windows:
        for frame, mask in zip(_read(clip.masks, clip, first, frames), masks, strict=True):
            cv2.threshold(frame.grey(), 127, 255, cv2.THRESH_BINARY, dst=mask)
        if masks.any():
            break
    else:
        raise Dropped("no region in the window", f"nor in any of {len(windows)}")
    areas = [cv2.countNonZero(mask) for mask in masks]
    some = np.flatnonzero(areas)
    median = some[np.argsort(np.take(areas, some), kind="stable")[len(some) // 2]]
    mosaic = draw_mosaic(rng, masks[median], settings.mosaics, clip.frame)
    clean, mosaicked = (np.empty((frames, *scaled, 3), np.uint8) for _ in range(2))
    shown = np.empty((frames, *scaled), np.uint8)
    is_shown = False
    for number, frame in enumerate(_read(clip.images, clip, first, frames)):
        image, mask = frame.image(), masks[number]
        clean[number] = resize(image, *scaled)
        # Only the crop, so that the colours of blocks do not include the padding.
        top, bottom, left, right = clip.pads[first + number].tolist()
        crop = slice(top, clip.shape[0] - bottom), slice(left, clip.shape[1] - right)
        placed = replace(mosaic, origin=_origin(clip, settings, mask[crop], first + number, mosaic))
        covered = np.zeros_like(mask)
        covered[crop] = cover(image[crop], mask[crop], placed)
        is_shown = is_shown or bool(covered.any())
        mosaicked[number], shown[number] = resize(image, *scaled), resize(covered, *scaled)
    if not is_shown:
        raise Dropped("no block in the window", f"the region is too small for blocks of {mosaic.width} by {mosaic.height}")
    return first, mosaicked, clean, shown, mosaic


def _read(path: Path, clip: Clip, first: int, frames: int) -> Iterator[VideoFrame]:
    """Yield the frames of a window, after checking their number and size against those of the clip.

    Only what they need is decoded.
    """
    status = path.stat() if path.is_file() else None
    packets = _packets(path, status.st_mtime_ns, status.st_size) if status else read_packets(path)
    if len(packets) != clip.frames:
        raise Failed(
            "clip does not match its metadata", f"{path.name} has {pluralize(len(packets), 'frames')}, not {clip.frames}"
        )
    for frame in read_frames(path, packets, range(first, first + frames), threads=1):
        if frame.picture is None:
            raise Failed("frame cannot be decoded", f"number {frame.index} of {path.name}")
        if frame.size[::-1] != clip.shape:
            raise Failed("clip does not match its metadata", f"{path.name} is {frame.size[::-1]} pixels, not {clip.shape}")
        yield frame


@lru_cache(2**13)  # a training reads the same clips in every epoch; a clip of 180 frames takes 8 kB
def _packets(path: Path, _changed: int, _size: int) -> Packets:
    """Return the frames of the video `path` as it was when it last changed."""
    return read_packets(path)


def _origin(clip: Clip, settings: DataSettings, mask: np.ndarray, number: int, mosaic: Mosaic) -> tuple[int, int]:
    """Return the x and y at which the grid begins in the crop of frame `number`, whose region is `mask`."""
    anchor = settings.mosaics.anchor
    if anchor == "frame" and clip.corners is not None:
        x, y = clip.corners[number].tolist()
        return -x, -y
    if anchor == "region":
        x0, y0, _, _ = map(int, mask_box(mask))
        return x0 - mosaic.dilation, y0 - mosaic.dilation
    return 0, 0


def _each(images: np.ndarray, shape: tuple[int, int], change: Callable[..., object]) -> np.ndarray:
    """Return what `change` writes to its argument `dst`, of height and width `shape`, for each of `images`."""
    changed = np.empty((len(images), *shape, *images.shape[3:]), np.uint8)
    for image, result in zip(images, changed, strict=True):
        change(image, dst=result)
    return changed


def _centre(images: np.ndarray, side: int) -> np.ndarray:
    """Return `images` centred in black squares of `side` pixels."""
    rows, columns = side - images.shape[1], side - images.shape[2]
    pads = (0, 0), (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2), *[(0, 0)] * (images.ndim - 3)
    return np.pad(images, pads)


def _mirror(images: np.ndarray) -> np.ndarray:
    import cv2

    return _each(images, images.shape[1:3], partial(cv2.flip, flipCode=1))


def _rotate(images: np.ndarray, angle: float) -> np.ndarray:
    """Return the square `images` rotated about their centre by `angle` degrees, counter-clockwise."""
    import cv2

    side = images.shape[1]
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2,) * 2, angle, 1)
    return _each(images, (side, side), partial(cv2.warpAffine, M=matrix, dsize=(side, side), flags=cv2.INTER_LINEAR))


def _blacken(images: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Return `images` with black pixels outside `content`."""
    import cv2

    if content.all():
        return images
    black = np.zeros_like(images)
    for image, shown, result in zip(images, content, black, strict=True):
        cv2.copyTo(image, shown, dst=result)
    return black
