"""Consistency is measured against the true motion, and equals obvious loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as options
from hypothesis import strategies as st

from restoration_clips import texture
from tessera.stages.restoration.consistency import SEAM, Motion, flicker, motion_of, seam, warping_error

T, SIDE = 5, 64


def moving(x: int, y: int) -> np.ndarray:
    """Return a clip of a texture that moves by `x` and `y` pixels per frame, without any interpolation."""
    big = texture(SIDE + T * abs(y), SIDE + T * abs(x))
    starts = [(T * max(y, 0) - place * y, T * max(x, 0) - place * x) for place in range(T)]
    return np.stack([big[top : top + SIDE, left : left + SIDE] for top, left in starts])


def middle() -> np.ndarray:
    masks = np.zeros((T, SIDE, SIDE), np.uint8)
    masks[:, 16:-16, 16:-16] = 255
    return masks


def full() -> np.ndarray:
    return np.full((T, SIDE, SIDE), 255, np.uint8)


@pytest.mark.parametrize(("x", "y"), [(0, 0), (1, 0), (-2, 1), (3, -4)])
def test_a_moved_texture_has_its_motion_and_no_warping_error(x: int, y: int) -> None:
    clip = moving(x, y)
    motion = motion_of(clip, middle(), full())
    assert motion.length == pytest.approx(np.full(T, np.hypot(x, y)), abs=0.05)
    assert np.array_equal(motion.known, middle()[1:] > 0)
    errors = warping_error(clip, motion)
    assert np.isnan(errors[-1]) and (errors[:-1] < 1).all()  # of rounding and interpolation
    if x or y:
        unmoved = Motion(np.zeros_like(motion.flow), *motion[1:])
        assert (warping_error(clip, unmoved)[:-1] > 15).all()


def test_the_warping_error_equals_that_of_a_loop() -> None:
    random = np.random.default_rng(0)
    clip = random.integers(0, 256, (2, 12, 16, 3), np.uint8)
    flow = random.integers(-2, 3, (1, 12, 16, 2)).astype(np.float32)  # whole pixels
    known = random.random((1, 12, 16)) < 0.5
    known[:, :2] = known[:, -2:] = known[:, :, :2] = known[:, :, -2:] = False
    squares = [
        (int(clip[1, y + int(flow[0, y, x, 1]), x + int(flow[0, y, x, 0]), c]) - int(clip[0, y, x, c])) ** 2
        for y, x in zip(*np.nonzero(known[0]), strict=True)
        for c in range(3)
    ]
    found = warping_error(clip, Motion(flow, known, known, np.zeros(2)))
    assert found[0] == pytest.approx(np.sqrt(np.mean(squares)))


def test_pixels_that_leave_the_picture_or_the_content_have_no_known_motion() -> None:
    region, content = full(), full()
    content[:, :, :20] = 0
    known = motion_of(moving(-4, 0), region, content).known
    assert not known[:, :, :22].any() and known[:, 8:-8, 28:-8].mean() > 0.95
    assert not motion_of(moving(4, 0), full(), full()).known[:, :, -3:].any()


def test_pixels_that_are_covered_have_no_known_motion() -> None:
    clip = moving(0, 0).copy()
    disc = texture(24, 24)[::-1, ::-1]
    for place in range(T):
        clip[place, 20:44, 6 + 6 * place : 30 + 6 * place] = disc
    motion = motion_of(clip, full(), full())
    # Many of the pixels that the square covers next are found out, and all pixels far away are known.
    assert motion.known[0, 24:40, 31:35].mean() < 0.6
    assert motion.known[0, :, 50:].all()


def test_flicker_is_the_change_of_still_pixels() -> None:
    clean = moving(0, 0)
    clean[:, :, 32:] = moving(3, 0)[:, :, 32:]
    motion = motion_of(clean, middle(), full())
    assert motion.still[:, 20:44, 18:26].all() and not motion.still[:, :, 38:].any() and not motion.still[:, :16].any()
    assert (flicker(clean, motion)[:-1] <= 1).all() and np.isnan(flicker(clean, motion)[-1])
    flickering = clean.astype(int)
    flickering[1::2, :, :38] += np.where(clean[1::2, :, :38] > 127, -7, 7)
    expected = [
        np.mean([abs(flickering[t + 1, y, x] - flickering[t, y, x]) for y, x in zip(*np.nonzero(motion.still[t]), strict=True)])
        for t in range(T - 1)
    ]
    found = flicker(flickering.astype(np.uint8), motion)
    assert found[:-1] == pytest.approx(expected) and (found[:-1] > 5).all()


def test_nothing_still_and_no_region_give_no_value() -> None:
    motion = motion_of(moving(3, 0), middle(), full())
    assert np.isnan(flicker(moving(3, 0), motion)).all()
    nothing = np.zeros_like(full())
    motion = motion_of(moving(3, 0), nothing, full())
    clip = moving(3, 0)
    for values in (motion.length, warping_error(clip, motion), seam(clip, clip, clip, nothing, full())):
        assert np.isnan(values).all()


def plain_seam(clip: np.ndarray, untouched: np.ndarray, clean: np.ndarray, region: np.ndarray) -> float:
    """Return the seam of one frame, with a loop over all places at which the outline crosses a row or a column."""
    shown = np.where(region[..., None] > 0, clip, untouched)
    lines = [
        (shown[axis_of], clean[axis_of], region[axis_of] > 0)
        for axis_of in [*((y, slice(None)) for y in range(len(clip))), *((slice(None), x) for x in range(clip.shape[1]))]
    ]
    steps = []
    for made, true, inside in lines:
        for place in range(SEAM, len(inside) - SEAM + 1):
            before, after = slice(place - SEAM, place), slice(place, place + SEAM)
            one, other = set(inside[before].tolist()), set(inside[after].tolist())
            if len(one) == len(other) == 1 and one != other:
                error = made.astype(float) - true
                steps.append(np.abs(error[before].mean(axis=0) - error[after].mean(axis=0)).mean())
    return float(np.mean(steps)) if steps else float("nan")


@given(st.integers(0, 2**32 - 1))
@options(max_examples=15, deadline=None)
def test_the_seam_equals_that_of_a_loop(seed: int) -> None:
    random = np.random.default_rng(seed)
    clip, untouched, clean = random.integers(0, 256, (3, 1, 14, 18, 3), np.uint8)
    blocks = random.integers(0, 2, (1, 5, 6), np.uint8) * 255
    region = blocks.repeat(3, axis=1).repeat(3, axis=2)[:, :14, :18]
    content = np.full_like(region, 255)
    found = seam(clip, untouched, clean, region, content)
    assert found == pytest.approx([plain_seam(clip[0], untouched[0], clean[0], region[0])], nan_ok=True)


def test_a_clean_clip_has_no_seam_and_an_error_on_both_sides_is_none() -> None:
    clean = moving(1, 1) // 2 + 40
    assert (seam(clean, clean, clean, middle(), full()) == 0).all()
    assert (seam(clean + 9, clean + 9, clean, middle(), full()) == 0).all()
    # The interior does not count, a step at the outline does.
    inner = clean.copy()
    inner[:, 20:-20, 20:-20] += 50
    assert (seam(inner, clean, clean, middle(), full()) == 0).all()
    assert (seam(clean + 9, clean, clean, middle(), full()) == 9).all()


def test_padding_beside_the_region_is_no_seam() -> None:
    clean, content = moving(0, 0), full()
    content[:, :16] = content[:, -16:] = content[:, :, :16] = content[:, :, -16:] = 0
    assert np.isnan(seam(clean, np.zeros_like(clean), clean, middle(), content)).all()
