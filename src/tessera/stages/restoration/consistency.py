"""Metrics of consistency: from frame to frame, and from the mosaicked region to the pixels around it.

Clips are uint8 (T, H, W, 3), RGB; masks are uint8 (T, H, W), 0 or 255, as in the module `metrics`. Values are in levels, from 0
to 255, and lower is better. The true motion is the optical flow of the clean clip, so it is the same for every method.
"""

from typing import NamedTuple

import numpy as np

# Largest squared difference of the flows forward and backward, relative to their squared lengths and in squared pixels
# (Sundaram, Brox and Keutzer, Dense point trajectories by GPU-accelerated large displacement optical flow, 2010).
RELATIVE, ABSOLUTE = 0.01, 0.5
STILL_MOTION, STILL_CHANGE = 0.1, 1  # pixels and levels up to which a pixel of the clean clip is still
SEAM = 2  # pixels on either side of the outline


class Motion(NamedTuple):
    """The true motion of a clip, from each frame to the next."""

    flow: np.ndarray  # float32 (T - 1, H, W, 2): x and y, pixels
    known: np.ndarray  # bool (T - 1, H, W): pixels of the region that are visible in the next frame, too
    still: np.ndarray  # bool (T - 1, H, W): pixels of the region that do not change
    length: np.ndarray  # float64 (T,): mean length in the region, pixels; NaN for frames without a region


def motion_of(clean: np.ndarray, region: np.ndarray, content: np.ndarray) -> Motion:
    """Return the motion in the clip `clean`. The motion of the last frame is that to the frame before it.

    The flow is that of DIS (Kroeger, Timofte, Dai and Van Gool, Fast optical flow using dense inverse search, 2016).
    Farneback's method took twice as long, and its error at the edge of a moving disc was 1.6 px instead of 0.9. A pixel is
    visible in the next frame if it moves to a pixel of `content`, and the flow backward from there leads back to it.
    """
    import cv2

    inside = region > 0
    height, width = clean.shape[1:3]
    forward = np.empty((max(len(clean) - 1, 0), height, width, 2), np.float32)
    known, still = np.empty(forward.shape[:3], bool), np.empty(forward.shape[:3], bool)
    length = np.full(len(clean), np.nan)
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=2).astype(np.float32)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clean]
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    for index, flow in enumerate(forward):
        # No search starts from the flow of another pair of frames.
        flow[:] = search.calc(grey[index], grey[index + 1], None)  # type: ignore[call-overload]
        backward = search.calc(grey[index + 1], grey[index], None)  # type: ignore[call-overload]
        aims = grid + flow
        returned = _remap(backward, aims)
        shown = _remap(content[index + 1], aims) == 255
        lengths = (flow**2).sum(axis=2)
        apart = ((flow + returned) ** 2).sum(axis=2)
        is_consistent = apart <= RELATIVE * (lengths + (returned**2).sum(axis=2)) + ABSOLUTE
        known[index] = inside[index] & shown & is_consistent
        change = cv2.absdiff(clean[index + 1], clean[index]).max(axis=2)
        still[index] = inside[index] & (lengths <= STILL_MOTION**2) & (change <= STILL_CHANGE)
        length[index] = _mean(np.sqrt(lengths), inside[index])
        if index == len(forward) - 1:
            length[-1] = _mean(np.sqrt((backward**2).sum(axis=2)), inside[-1])
    return Motion(forward, known, still, length)


def warping_error(clip: np.ndarray, motion: Motion) -> np.ndarray:
    """Return how much each frame of `clip` differs from the next one, moved back by the true motion: float64 (T,), levels.

    It is the root of the mean squared difference over the region, where the motion is known; NaN where it is known nowhere, and
    for the last frame. Lai, Huang, Wang, Shechtman, Yumer and Yang, Learning blind video temporal consistency (2018), who give
    the square of it.
    """
    import cv2

    errors = np.full(len(clip), np.nan)
    for index, (flow, known) in enumerate(zip(motion.flow, motion.known, strict=True)):
        x, y, wide, high = cv2.boundingRect(known.view(np.uint8))
        if wide:
            box = slice(y, y + high), slice(x, x + wide)
            grid = np.stack(np.meshgrid(np.arange(x, x + wide), np.arange(y, y + high)), axis=2)
            aims = (grid + flow[box]).astype(np.float32)
            back = _remap(clip[index + 1], aims)
            squares = (back.astype(np.float32) - clip[index][box]) ** 2
            errors[index] = np.sqrt(squares[known[box]].mean(dtype=np.float64))
    return errors


def flicker(clip: np.ndarray, motion: Motion) -> np.ndarray:
    """Return the mean absolute difference of each frame of `clip` to the next one, where the clean clip is still.

    float64 (T,), levels; NaN where nothing in the region is still, and for the last frame. A pixel is still if the true motion
    is at most `STILL_MOTION` and no channel of the clean clip changes by more than `STILL_CHANGE`.
    """
    changes = np.full(len(clip), np.nan)
    for index, still in enumerate(motion.still):
        if still.any():
            frame, next_frame = (clip[number][still].astype(np.int16) for number in (index, index + 1))
            changes[index] = np.abs(next_frame - frame).mean()
    return changes


def seam(clip: np.ndarray, around: np.ndarray, clean: np.ndarray, region: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Return how visible the border of the region is in each frame of `clip`: float64 (T,), levels, NaN if it has no border.

    The region of `clip` is put into the frames `around`, as a restorer does, and compared with `clean`. At each place where
    the outline of the region crosses a row or a column, the error is averaged over the `SEAM` pixels inside and over the `SEAM`
    pixels outside. The seam is the mean absolute difference of both: the step at the outline that the clean clip does not have.
    An error that is the same on both sides is not visible as a border. Places with an outline within these pixels, or with
    padding, do not count.
    """
    sums, counts = np.zeros(len(clip)), np.zeros(len(clip), int)
    inside, shown = region > 0, content > 0
    for axis in (1, 2):
        # The first and the second half of each run of 2 * SEAM pixels along the axis, in the order of their first pixel.
        runs = region.shape[axis] - 2 * SEAM + 1
        masks = [_along(inside, axis, step, runs) for step in range(2 * SEAM)]
        crosses = masks[SEAM - 1] != masks[SEAM]
        for step in range(2 * SEAM):
            crosses &= (masks[step] == masks[0 if step < SEAM else -1]) & _along(shown, axis, step, runs)
        frames, rows, columns = np.nonzero(crosses)
        is_inside = masks[0][crosses]
        error = np.zeros((len(frames), clip.shape[3]))
        for step in range(2 * SEAM):
            at = (frames, rows + step, columns) if axis == 1 else (frames, rows, columns + step)
            made = np.where((is_inside == (step < SEAM))[:, None], clip[at], around[at])
            error += (1 if step < SEAM else -1) * (made.astype(np.float64) - clean[at])
        sums += np.bincount(frames, np.abs(error / SEAM).mean(axis=1), len(clip))
        counts += np.bincount(frames, minlength=len(clip))
    ratio: np.ndarray = np.divide(sums, counts, out=np.full(len(clip), np.nan), where=counts > 0)
    return ratio


def _remap(image: np.ndarray, aims: np.ndarray) -> np.ndarray:
    """Return `image` at the places `aims`, float32 (H, W, 2), x and y, interpolated linearly; 0 outside."""
    import cv2

    # The second map is only for maps whose x and y are separate.
    remapped: np.ndarray = cv2.remap(image, aims, None, cv2.INTER_LINEAR)  # type: ignore[call-overload]
    return remapped


def _along(masks: np.ndarray, axis: int, start: int, count: int) -> np.ndarray:
    """Return `count` rows (`axis` 1) or columns (`axis` 2) of `masks` from `start` on."""
    return masks[:, start : start + count] if axis == 1 else masks[:, :, start : start + count]


def _mean(values: np.ndarray, pixels: np.ndarray) -> float:
    return float(values[pixels].mean(dtype=np.float64)) if pixels.any() else np.nan
