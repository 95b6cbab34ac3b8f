"""Masks: run-length encodings, patches cut to a box, and growth."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tessera.imaging.boxes import mask_box

CHUNK = 1 << 18  # pairs of edges and points that are compared at a time


def encode_rle(mask: np.ndarray) -> str:
    """Return COCO's compressed run lengths of `mask`, uint8 (H, W); pixels other than 0 are set."""
    import cv2
    from pycocotools import mask as coco

    # COCO counts column by column. OpenCV transposes an image far faster than NumPy does.
    columns = cv2.transpose(np.ascontiguousarray(mask != 0).view(np.uint8))
    counts: bytes = coco.encode(columns.reshape(mask.shape[::-1]).T)["counts"]
    return counts.decode("ascii")


def decode_rle(rle: str, height: int, width: int) -> np.ndarray:
    """Return the mask of COCO's compressed run lengths: uint8 (height, width), 0 or 255.

    Raises `ValueError` if `rle` is not such an encoding, or does not fill the image exactly.
    """
    return decode_counts(rle_counts(rle), height, width)


def rle_counts(rle: str) -> np.ndarray:
    """Decompress COCO's run lengths: int64 (n,). Raises `ValueError` if `rle` is not a compressed encoding.

    Not done by pycocotools, because its C code does not check its input.
    """
    codes = np.frombuffer(rle.encode("ascii", "replace"), dtype=np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero(codes & 32 == 0)
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or ends[-1:].tolist() != [len(codes) - 1]:
        raise ValueError("not a compressed run-length encoding")
    # A count is written in digits of 5 bits, the lowest first. 32 marks that another digit follows; the last has the sign.
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > 7:
        raise ValueError("a run is longer than any image")
    digits = np.arange(len(codes)) - np.repeat(starts, lengths)
    counts = np.add.reduceat((codes & 31) << (5 * digits), starts)
    counts -= np.where(codes[ends] & 16, 1 << (5 * lengths), 0)
    # From the fourth on, a count is stored as its difference from the count two places before it.
    counts[1::2] = np.cumsum(counts[1::2])
    counts[2::2] = np.cumsum(counts[2::2])
    return counts


def check_counts(counts: Sequence[int] | np.ndarray, height: int, width: int) -> np.ndarray:
    """Return `counts`, COCO's run lengths, as an array. Raises `ValueError` if they do not fill the image exactly."""
    runs = np.asarray(counts)
    if runs.ndim != 1 or runs.dtype.kind not in "iu" or (runs < 0).any() or (runs > height * width).any():
        raise ValueError("run lengths are not whole numbers within the image")
    if runs.sum() != height * width:
        raise ValueError(f"run lengths fill {runs.sum()} pixels, the image has {height * width}")
    return runs


def decode_counts(counts: Sequence[int] | np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the mask of COCO's run lengths: uint8 (height, width), 0 or 255.

    The runs are alternately unset and set, starting with unset, and go column by column.
    Raises `ValueError` if they do not fill the image exactly.
    """
    import cv2

    runs = check_counts(counts, height, width)
    values = (np.arange(len(runs)) % 2 * 255).astype(np.uint8)
    mask: np.ndarray = cv2.transpose(np.repeat(values, runs).reshape(width, height))
    return mask.reshape(height, width)


class Patch(NamedTuple):
    """The part of a mask inside a box: uint8 (h, w), 0 or 255, and the position of its top left pixel in the image."""

    mask: np.ndarray
    x: int
    y: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The bounding box of the patch: x0, y0, x1, y1 in pixels of the image, half-open."""
        return self.x, self.y, self.x + self.mask.shape[1], self.y + self.mask.shape[0]

    def inside(self, box: tuple[int, int, int, int]) -> np.ndarray:
        """Return the part of the whole mask inside `box`, half-open pixels: uint8 (h, w), 0 or 255."""
        x0, y0, x1, y1 = box
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        left, top = max(x0, self.x), max(y0, self.y)
        part = self.mask[top - self.y : max(y1 - self.y, 0), left - self.x : max(x1 - self.x, 0)]
        mask[top - y0 : top - y0 + part.shape[0], left - x0 : left - x0 + part.shape[1]] = part
        return mask


def trim(patch: Patch) -> Patch:
    """Return the part of `patch` inside the smallest box around its set pixels; an empty patch if none is set."""
    x0, y0, x1, y1 = map(int, mask_box(patch.mask))
    return Patch(patch.mask[y0:y1, x0:x1], patch.x + x0, patch.y + y0)


def decode_patch(rle: str, height: int, width: int) -> Patch:
    """Decode COCO's compressed run lengths to the patch inside the smallest box around the set pixels.

    The result equals `trim` of the whole mask, but the whole mask is never allocated.
    Raises `ValueError` if `rle` does not encode a mask of `height` by `width` pixels.
    """
    import cv2

    ends = np.cumsum(check_counts(rle_counts(rle), height, width))
    starts, stops = ends[0:-1:2], ends[1::2]
    starts, stops = starts[starts < stops], stops[starts < stops]
    if not len(starts):
        return Patch(np.zeros((0, 0), np.uint8), 0, 0)
    # The column and row of the first and the last pixel of each run. A run over several columns needs their full height.
    (column, row), (last_column, last_row) = np.divmod(starts, height), np.divmod(stops - 1, height)
    x, y, side = column[0], row.min(), last_row.max() + 1 - row.min()
    if (column < last_column).any():
        y, side = 0, height
    edges = np.stack([(column - x) * side + row - y, (last_column - x) * side + last_row - y + 1], axis=1).ravel()
    lengths = np.diff(edges, prepend=0, append=(last_column[-1] + 1 - x) * side)
    values = (np.arange(len(lengths)) % 2 * 255).astype(np.uint8)
    mask = cv2.transpose(np.repeat(values, lengths).reshape(-1, side)).reshape(side, -1)
    return Patch(mask, int(x), int(y))


def encode_patch(patch: Patch, height: int, width: int) -> str:
    """Encode the mask of `height` by `width` pixels that contains `patch` as COCO's compressed run lengths.

    The result equals `encode_rle` of the whole mask, but the whole mask is never allocated.
    """
    import cv2
    from pycocotools import mask as coco

    # Column by column, with an unset pixel before the first column and after each.
    side = patch.mask.shape[0] + 1
    columns = np.zeros(1 + patch.mask.shape[1] * side, np.uint8)
    if patch.mask.size:
        columns[1:].reshape(-1, side)[:, :-1] = cv2.transpose(patch.mask).reshape(-1, side - 1)
    column, row = np.divmod(np.flatnonzero(columns[1:] != columns[:-1]), side)
    edges = (patch.x + column) * height + patch.y + row
    # A run that ends at the bottom of a column continues in a run that begins at the top of the next.
    joined = np.flatnonzero(edges[1:-1:2] == edges[2::2]) * 2 + 1
    edges = np.delete(edges, [joined, joined + 1])
    counts = np.diff(edges, prepend=0, append=height * width)
    if len(counts) > 1 and counts[-1] == 0:
        counts = counts[:-1]
    coded: bytes = coco.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)["counts"]
    return coded.decode("ascii")


SMALL = 0.01  # fraction of the area of a frame below which a region grows in small steps
SMALL_STEP, STEP = 2 / 256, 7 / 256  # fractions of the longer side of a frame


def growth_step(area: float, height: int, width: int) -> float:
    """Return how many pixels a region of `area` square pixels grows in one step, in a frame of `height` by `width` pixels.

    Lada 0.11 dilates by an ellipse of 5 or 15 pixels in a copy of the mask with a longer side of 256 pixels. That is about the
    same in a square frame. But Lada swaps the height and the width of the copy: at 1280 by 720 pixels, a large region grows
    by 64 pixels to the left and right and by 20 up and down. Here, it grows by 35 in all directions.
    """
    return (SMALL_STEP if area < SMALL * height * width else STEP) * max(height, width)


def grow(mask: np.ndarray, radius: float) -> np.ndarray:
    """Return `mask`, uint8 (H, W), 0 or 255, grown by `radius` pixels: all pixels at most that far from a set one are set."""
    import cv2

    if not radius or not mask.any():
        return mask
    distance = cv2.distanceTransform((mask == 0).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    grown: np.ndarray = (distance <= radius) * np.uint8(255)
    return grown
