"""The methods that restore regions: what a model of clips gets, and how the blocks of mosaics are found and restored."""

from collections.abc import Sequence
from typing import Any

import av
import cv2
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from tessera.imaging.crops import CropSettings, Fit, crop_box
from tessera.imaging.frame import VideoFrame
from tessera.imaging.masks import decode_patch, encode_rle
from tessera.imaging.mosaic.blocks import Grid, Mosaic, pixelate
from tessera.imaging.mosaic.grid import CLEAR
from tessera.imaging.mosaic.means import BESIDE, SIDE
from tessera.imaging.mosaic.restoring import Found, grids_of
from tessera.stages.restore.methods import BlockModel, ClipModel
from tessera.stages.restore.restore import Patch, Region, restart, restored

COUNT = 20  # frames
SIZE = 150, 220  # height and width of frames
BLOCK = 9
ORIGIN = 2, 4
FEATHER = 0.03


def bicubic(means: np.ndarray, number: int) -> np.ndarray:
    """Return a picture with the means of frame `number`, roughly."""
    blocks = means[number]
    return cv2.resize(blocks, blocks.shape[1::-1] * np.array(SIDE), interpolation=cv2.INTER_CUBIC)


METHOD = BlockModel(bicubic)


def outlines() -> list[np.ndarray]:
    """Return masks of a region that moves to the right."""
    masks = [np.zeros(SIZE, np.uint8) for _ in range(COUNT)]
    for number, mask in enumerate(masks):
        cv2.ellipse(mask, (80 + 2 * number, 75), (52, 46), 0, 0, 360, 255, -1)
    return masks


def originals() -> list[np.ndarray]:
    photo = data.coffee()
    return [np.ascontiguousarray(photo[60 : 60 + SIZE[0], 120 + n : 120 + n + SIZE[1]]) for n in range(COUNT)]


MASKS, ORIGINALS = outlines(), originals()


def mosaicked(step: int = 0) -> list[np.ndarray]:
    """Return the pictures with a mosaic, whose grid moves by `step` pixels from frame to frame."""
    x, y = ORIGIN
    return [
        pixelate(image, mask, Mosaic("squa_avg", BLOCK, BLOCK, origin=(x + step * number, y), incomplete=True))
        for number, (image, mask) in enumerate(zip(ORIGINALS, MASKS, strict=True))
    ]


def region_of(masks: Sequence[np.ndarray], first: int = 0) -> Region:
    boxes = [decode_patch(encode_rle(mask), *SIZE).box for mask in masks]
    crops = [crop_box(box, SIZE, CropSettings(border=12, size=32)) for box in boxes]
    rles = pl.Series([encode_rle(mask) for mask in masks])
    return Region(first, crops, [(0, 0, 0, 0)] * len(masks), Fit((32, 32), 32), rles, SIZE)


REGION = region_of(MASKS)


def frames_of(images: Sequence[np.ndarray], pixel_format: str = "rgb24", lost: Sequence[int] = ()) -> list[VideoFrame]:
    frames = []
    for index, image in enumerate(images):
        deep = image.astype(np.uint16) * 257 if pixel_format == "rgb48le" else image
        picture = None if index in lost else av.VideoFrame.from_ndarray(deep, format=pixel_format)
        frames.append(VideoFrame(index, None, 0.0, picture))
    return frames


def blend(image: np.ndarray, patches: Sequence[Patch]) -> np.ndarray:
    result = image.astype(np.float32)
    for patch in patches:
        x0, y0, x1, y1 = patch.box
        part = result[y0:y1, x0:x1]
        part += (patch.image - part) * patch.weight[..., None]
    return result


def restore(
    frames: Sequence[VideoFrame], region: Region = REGION, window: int = 8, overlap: int = 2
) -> list[np.ndarray | None]:
    """Return the frames, restored, as float32; None for those that cannot be decoded."""
    made = restored(frames, [region], METHOD, window=window, overlap=overlap, feather=FEATHER)
    return [None if frame.picture is None else blend(frame.image(dtype=frame.depth), patches) for frame, patches in made]


def psnr(one: Any, other: Any) -> float:
    return float(10 * np.log10(255**2 / ((np.asarray(one, float) - other) ** 2).mean()))


def off(line: float, start: float, side: float = BLOCK) -> float:
    """Return how far `line` is from the nearest of the lines that begin at `start`, `side` apart."""
    return abs((line - start + side / 2) % side - side / 2)


# Mosaics


@pytest.mark.parametrize("pixel_format", ["rgb24", "rgb48le"])
@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_mosaic_gets_nearer_to_the_original_and_other_pixels_stay(step: int, pixel_format: str) -> None:
    frames = frames_of(mosaicked(step), pixel_format)
    levels = 257 if pixel_format == "rgb48le" else 1
    for frame, result, mask, original in zip(frames, restore(frames), MASKS, ORIGINALS, strict=True):
        image = frame.image(dtype=frame.depth)
        assert result is not None
        inside = mask > 0
        before, after = (psnr(each[inside] / levels, original[inside]) for each in (image, result))
        assert after > before + 0.7
        x0, y0, x1, y1 = REGION.crops[frame.index]
        soft = 2 * max(1, round(max(x1 - x0, y1 - y0) * FEATHER / 2))
        reach = (BESIDE + 1) * BLOCK + soft
        near = cv2.dilate(mask, np.ones((2 * reach + 1,) * 2, np.uint8)) > 0
        assert np.array_equal(result[~near], image[~near])


def test_blocks_beside_an_outline_that_is_too_small_are_restored_too() -> None:
    small = region_of([cv2.erode(mask, np.ones((2 * BLOCK + 1,) * 2, np.uint8)) for mask in MASKS])
    frames = frames_of(mosaicked())
    for result, mask, original, frame in zip(restore(frames, small), MASKS, ORIGINALS, frames, strict=True):
        edge = (mask > 0) & (cv2.erode(mask, np.ones((2 * BLOCK + 1,) * 2, np.uint8)) == 0)
        assert result is not None
        assert psnr(result[edge], original[edge]) > psnr(frame.image()[edge], original[edge]) + 0.3


def test_a_region_without_a_grid_stays_as_it_is() -> None:
    frames = frames_of(ORIGINALS)
    for found, image in zip(restore(frames), ORIGINALS, strict=True):
        assert found is not None and np.array_equal(found, image)


@pytest.mark.parametrize("number", [0, 7, COUNT - 1])
@pytest.mark.parametrize("step", [0, 2])
def test_one_frame_alone_is_restored(number: int, step: int) -> None:
    frames = frames_of(mosaicked(step))
    alone = restore(frames, region_of(MASKS[number : number + 1], number))
    for index, (result, frame, original) in enumerate(zip(alone, frames, ORIGINALS, strict=True)):
        assert result is not None
        if index == number:
            inside = MASKS[number] > 0
            assert psnr(result[inside], original[inside]) > psnr(frame.image()[inside], original[inside]) + 0.7
        else:
            assert np.array_equal(result, frame.image())


@settings(max_examples=20)
@given(st.sets(st.integers(0, COUNT - 1)), st.sampled_from([0, 2]))
def test_frames_that_cannot_be_decoded_change_no_other(lost: set[int], step: int) -> None:
    images = mosaicked(step)
    found, expected = restore(frames_of(images, lost=sorted(lost))), restore(frames_of(images))
    for index, (result, other, mask, original) in enumerate(zip(found, expected, MASKS, ORIGINALS, strict=True)):
        assert (result is None) == (index in lost)
        if result is not None and step == 0:
            assert np.array_equal(result, other)
        elif result is not None:
            # Of a grid that moves, a window of few frames may see it by a fraction of a pixel elsewhere.
            inside = mask > 0
            assert psnr(result[inside], original[inside]) > psnr(images[index][inside], original[inside]) + 0.7


@settings(max_examples=20)
@given(st.integers(2, 30), st.data())
def test_any_window_gives_the_same_frames_if_the_grid_stays(window: int, draw: st.DataObject) -> None:
    frames = frames_of(mosaicked())
    found = restore(frames, window=window, overlap=draw.draw(st.integers(0, window // 2)))
    for one, other in zip(found, restore(frames), strict=True):
        assert np.array_equal(one, other)


@settings(max_examples=20)
@given(st.integers(2, 9), st.sampled_from([0, 2]), st.data())
def test_a_restoration_goes_on_at_any_window_as_if_it_had_not_stopped(window: int, step: int, draw: st.DataObject) -> None:
    overlap = draw.draw(st.integers(0, window // 2))
    frames = frames_of(mosaicked(step), lost=sorted(draw.draw(st.sets(st.integers(0, COUNT - 1), max_size=4))))
    first = draw.draw(st.integers(0, (COUNT - 1) // (window - overlap))) * (window - overlap)

    def shown(begin: int) -> list[tuple[int, list[bytes]]]:
        made = restored(frames[begin:], [REGION], METHOD, window=window, overlap=overlap, feather=FEATHER)
        return [(one.index, [each.image.tobytes() for each in patches]) for one, patches in made if one.index >= first]

    assert shown(restart(first, window, overlap)) == shown(0)


def test_a_grid_that_cannot_be_seen_in_some_frames_is_that_of_the_nearest_frame_moved_with_the_region() -> None:
    images = mosaicked(2)
    hidden = {5, 6, 12}
    for number in hidden:
        images[number] = cv2.GaussianBlur(images[number], (0, 0), 4)
    frames = frames_of(images)
    looked = [METHOD.look(REGION, frame) for frame in frames]
    assert {number for number, found in enumerate(looked) if found.grid.evidence < CLEAR} == hidden
    for number, grid in enumerate(grids_of(looked)):
        assert grid is not None
        assert abs(grid.width - BLOCK) < 0.3 and abs(grid.height - BLOCK) < 0.3
        assert off(grid.left, ORIGIN[0] + 2 * number) < 1.5 and off(grid.top, ORIGIN[1]) < 1.5


def test_the_grid_that_stays_is_that_of_all_frames_of_a_window_even_of_those_that_do_not_show_it() -> None:
    images = mosaicked()
    for number in (0, 3, 4, 9):
        images[number] = cv2.GaussianBlur(images[number], (0, 0), 4)
    grids = grids_of([METHOD.look(REGION, frame) for frame in frames_of(images)])
    assert {(off(grid.left, ORIGIN[0]), off(grid.top, ORIGIN[1]), *grid[3:]) for grid in grids if grid} == {
        (0, 0, BLOCK, BLOCK)
    }
    assert len(set(grids)) == 1


@given(
    st.lists(
        st.tuples(
            st.floats(0, 6), st.floats(0, 200), st.floats(0, 200), st.floats(5, 40), st.floats(5, 40), st.integers(0, 200)
        ),
        min_size=1,
        max_size=12,
    )
)
def test_every_frame_of_a_window_has_a_grid_if_one_is_clear_and_none_otherwise(frames: list[tuple[float, ...]]) -> None:
    (frame,) = frames_of(ORIGINALS[:1])
    boxes = [(middle, middle // 2, middle + 90, middle // 2 + 70) for *_, middle in frames]
    window = [Found(frame, Grid(*values), box) for (*values, _), box in zip(frames, boxes, strict=True)]
    grids = grids_of(window)
    assert len(grids) == len(window)
    clear = any(found.grid.evidence >= CLEAR for found in window)
    assert all((grid is not None) == clear for grid in grids)


def test_a_frame_of_two_windows_is_that_of_the_one_in_whose_middle_it_is() -> None:
    one, other = (METHOD.restore([METHOD.look(REGION, frame)])[0] for frame in frames_of(mosaicked()[:2]))
    assert one is not None and other is not None
    blended = [METHOD.blend(one, other, fraction) for fraction in (0.2, 0.4, 0.6, 0.8)]
    assert [each is one for each in blended] == [True, True, False, False] == [each is not other for each in blended]
    assert METHOD.blend(None, other, 0.2) is None


def test_a_model_gets_the_means_of_the_same_blocks_in_all_frames_if_they_stay() -> None:
    got = []

    def note(means: np.ndarray, number: int) -> np.ndarray:
        got.append((means, number))
        return bicubic(means, number)

    method = BlockModel(note)
    images = mosaicked()
    made = method.restore([method.look(REGION, frame) for frame in frames_of(images)])
    assert [number for _, number in got] == list(range(COUNT))
    x, y = ORIGIN
    for (means, number), result in zip(got, made, strict=True):
        assert result is not None and len(means) == COUNT and means.shape[1:] == result.blocks.means.shape
        assert np.array_equal(means[number], result.blocks.means)
        for image, seen in zip(images, means, strict=True):
            for row, column in np.argwhere(result.blocks.flat)[::7]:
                at_y, at_x = (result.blocks.down.first + row) * BLOCK + y, (result.blocks.across.first + column) * BLOCK + x
                block = image[max(at_y, 0) : at_y + BLOCK, max(at_x, 0) : at_x + BLOCK]
                # Another frame may show no mosaic there.
                if np.ptp(block, axis=(0, 1)).max() == 0:
                    assert np.abs(seen[row, column] - block[0, 0]).max() < 0.01


def test_a_model_gets_each_frame_alone_if_the_blocks_move() -> None:
    got = []

    def note(means: np.ndarray, number: int) -> np.ndarray:
        got.append((len(means), number))
        return bicubic(means, number)

    method = BlockModel(note)
    method.restore([method.look(REGION, frame) for frame in frames_of(mosaicked(2))])
    assert got == [(1, 0)] * COUNT


# A model of clips


def test_a_model_of_clips_gets_two_frames_at_least_and_gives_back_as_many_as_it_was_asked_for() -> None:
    got = []

    def note(clip: np.ndarray) -> np.ndarray:
        got.append(clip.shape)
        return clip

    squares = [np.full((4, 4, 3), level, np.uint8) for level in (1, 2, 3)]
    for count in (1, 2, 3):
        assert np.array_equal(ClipModel(note).restore(squares[:count]), squares[:count])
    assert [shape[0] for shape in got] == [2, 2, 3]


def test_a_clip_whose_depth_changes_is_restored_and_blended_with_the_greater_depth() -> None:
    flat, deep = np.full((4, 4, 3), 100, np.uint8), np.full((4, 4, 3), 100 * 257 + 50, np.uint16)
    method = ClipModel(lambda clip: clip)
    first, second = method.restore([flat, deep])
    assert first.dtype == second.dtype == np.uint16 and (first == 100 * 257).all()
    blended = method.blend(flat, deep, 0.5)
    assert blended.dtype == np.uint16 and (blended == 100 * 257 + 25).all()
