import weakref
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.imaging.crops import Fit
from tessera.imaging.encode import write_video
from tessera.imaging.frame import VideoFrame
from tessera.imaging.masks import encode_rle
from tessera.imaging.video import read_frames, read_packets
from tessera.stages.restore.methods import ClipModel
from tessera.stages.restore.restore import Region, restart, restored, soften

SIZE = 32


def identity(clip: np.ndarray) -> np.ndarray:
    return clip


def frames_of(images: np.ndarray, path: Path) -> list[VideoFrame]:
    write_video(path, images, 25, quality=1)
    return list(read_frames(path, read_packets(path)))


def region(first: int, count: int, size: tuple[int, int] = (48, 64)) -> Region:
    """Return a region that moves to the right by a pixel per frame."""
    masks, crops = [], []
    for number in range(count):
        mask = np.zeros(size, np.uint8)
        cv2.ellipse(mask, (20 + number % 20, 24), (8, 6), 0, 0, 360, 255, -1)
        masks.append(encode_rle(mask))
        crops.append((4 + number % 20, 8, 36 + number % 20, 40))
    return Region(first, crops, [(0, 0, 0, 0)] * count, Fit((32, 32), SIZE), pl.Series(masks), size)


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> list[VideoFrame]:
    images = np.random.default_rng(0).integers(0, 256, (40, 48, 64, 3), np.uint8)
    return frames_of(images, tmp_path_factory.mktemp("footage") / "a.mp4")


class Clip(np.ndarray):
    """An array that can be counted."""

    __hash__ = object.__hash__  # type: ignore[assignment]


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 20), st.data())
def test_every_frame_comes_once_with_the_patches_of_the_regions_in_it(
    footage: list[VideoFrame], window: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, window // 2))
    spans = data.draw(st.lists(st.tuples(st.integers(0, 39), st.integers(1, 40)), max_size=4))
    regions = [region(first, min(count, 40 - first)) for first, count in spans]
    held: list[int] = []

    def restore(clip: np.ndarray) -> np.ndarray:
        assert clip.shape[1:] == (SIZE, SIZE, 3)
        assert 2 <= len(clip) <= max(window, 2)
        held.append(len(clip))
        return clip

    given_back = list(restored(footage, regions, ClipModel(restore), window=window, overlap=overlap, feather=0.05))
    assert [frame.index for frame, _ in given_back] == list(range(40))
    for frame, patches in given_back:
        assert len(patches) == sum(each.first <= frame.index < each.stop for each in regions)
        for patch in patches:
            x0, y0, x1, y1 = patch.box
            # A crop as large as the square, and an identical restorer: each patch is what is there.
            assert np.array_equal(patch.image, frame.image()[y0:y1, x0:x1])


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.data())
def test_a_restoration_goes_on_at_any_window_as_if_it_had_not_stopped(
    footage: list[VideoFrame], window: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, window // 2))
    spans = data.draw(st.lists(st.tuples(st.integers(0, 39), st.integers(1, 40)), min_size=1, max_size=4))
    lost = data.draw(st.sets(st.integers(0, 39), max_size=4))
    frames = [frame if frame.index not in lost else VideoFrame(frame.index, None, 0.0, None) for frame in footage]
    regions = [region(first, min(count, 40 - first)) for first, count in spans]
    first = data.draw(st.integers(0, 39 // (window - overlap))) * (window - overlap)

    def mix(clip: np.ndarray) -> np.ndarray:
        return np.broadcast_to(clip.mean(axis=0).astype(np.uint8), clip.shape)

    def shown(begin: int) -> list[tuple[int, list[bytes]]]:
        made = restored(frames[begin:], regions, ClipModel(mix), window=window, overlap=overlap, feather=0.05)
        # The order of patches of one frame is that of the first frames of their regions.
        return [(one.index, [each.image.tobytes() for each in patches]) for one, patches in made if one.index >= first]

    assert shown(restart(first, window, overlap)) == shown(0)


def test_windows_are_blended_where_they_overlap(footage: list[VideoFrame]) -> None:
    turn = iter([10.0, 50.0])

    def restore(clip: np.ndarray) -> np.ndarray:
        return np.full_like(clip, next(turn))

    levels = [
        patch.image[0, 0, 0]
        for _, (patch,) in restored(footage[:16], [region(0, 16)], ClipModel(restore), window=10, overlap=4, feather=0)
    ]
    assert levels == [10] * 6 + [18, 26, 34, 42] + [50] * 6


def test_a_region_of_one_frame_is_restored(footage: list[VideoFrame]) -> None:
    found = list(restored(footage, [region(7, 1)], ClipModel(identity), window=8, overlap=2, feather=0.05))
    assert [len(patches) for _, patches in found] == [0] * 7 + [1] + [0] * 32


def test_a_frame_that_cannot_be_decoded_has_no_patch(footage: list[VideoFrame]) -> None:
    lost = [
        VideoFrame(frame.index, frame.pts, frame.time, None if frame.index in (0, 5) else frame.picture) for frame in footage
    ]
    found = list(restored(lost, [region(0, 12)], ClipModel(identity), window=8, overlap=2, feather=0.05))
    assert [len(patches) for _, patches in found] == [0] + [1] * 4 + [0] + [1] * 6 + [0] * 28


def test_a_shot_is_restored_alike_whatever_comes_after_its_cut(footage: list[VideoFrame]) -> None:
    def mix(clip: np.ndarray) -> np.ndarray:
        return np.broadcast_to(clip.mean(axis=0).astype(np.uint8), clip.shape)

    def shown(frames: list[VideoFrame]) -> list[np.ndarray]:
        cut = restored(frames, [region(2, 11), region(13, 20)], ClipModel(mix), window=8, overlap=2, feather=0.05)
        return [patch.image for frame, patches in cut if frame.index < 13 for patch in patches]

    # The cut is in the middle of the second window.
    other = [*footage[:13], *(VideoFrame(n, None, 0.0, footage[39 - n].picture) for n in range(13, 40))]
    assert len(shown(footage)) == 11
    assert all(np.array_equal(*pair) for pair in zip(shown(footage), shown(other), strict=True))


@pytest.mark.parametrize("count", [300, 3000])
def test_one_window_is_held_however_long_the_video_is(count: int) -> None:
    frames_held: weakref.WeakSet[VideoFrame] = weakref.WeakSet()
    clips_held: weakref.WeakSet[Clip] = weakref.WeakSet()

    def frames() -> Iterator[VideoFrame]:
        for index in range(count):
            frame = VideoFrame(index, None, 0.0, av.VideoFrame(64, 48, "rgb24"))
            frames_held.add(frame)
            yield frame

    def restore(clip: np.ndarray) -> np.ndarray:
        assert len(clip) <= 12
        made = clip.view(Clip)
        clips_held.add(made)
        return made

    for _ in restored(frames(), [region(0, count)], ClipModel(restore), window=12, overlap=4, feather=0.05):
        assert len(frames_held) <= 12 + 1
        assert len(clips_held) <= 2


@given(st.tuples(*[st.integers(0, 40)] * 2), st.tuples(*[st.integers(1, 20)] * 2), st.tuples(*[st.integers(0, 9)] * 4))
def test_a_patch_is_the_part_of_the_crop_with_the_soft_edge(
    corner: tuple[int, ...], sides: tuple[int, ...], borders: tuple[int, ...]
) -> None:
    mask = np.zeros((70, 70), np.uint8)
    (x, y), (w, h), (left, top, right, bottom) = corner, sides, borders
    mask[y : y + h, x : x + w] = 255
    x0, y0, x1, y1 = crop = max(0, x - left), max(0, y - top), min(70, x + w + right), min(70, y + h + bottom)
    size = y1 - y0, x1 - x0
    one = Region(0, [crop], [(0, 0, 0, 0)], Fit(size, SIZE), pl.Series([encode_rle(mask)]), mask.shape)
    frame = VideoFrame(0, None, 0.0, av.VideoFrame(70, 70, "yuv444p"))
    ((_, (patch,)),) = restored([frame], [one], ClipModel(identity), window=2, overlap=0, feather=0.1)
    whole = np.zeros_like(mask, np.float32)
    whole[y0:y1, x0:x1] = soften(mask[y0:y1, x0:x1], max(1, round(max(size) * 0.05)))
    left, top, right, bottom = patch.box
    assert np.array_equal(patch.weight, whole[top:bottom, left:right])
    whole[top:bottom, left:right] = 0
    assert not whole.any()
    assert patch.image.shape[:2] == patch.weight.shape
    # A corner cuts no pixel of subsampled chroma that the crop does not cut.
    assert all(edge % 2 == 0 or edge == own for edge, own in zip(patch.box, crop, strict=True))


@pytest.mark.parametrize("width", [1, 2, 5])
def test_the_soft_edge_lies_outside_the_mask_and_ends(width: int) -> None:
    mask = np.zeros((60, 80), np.uint8)
    mask[20:33, 0:40] = 255
    weight = soften(mask, width)
    assert (weight[mask > 0] == 1).all()
    distance = np.maximum(cv2.distanceTransform((mask == 0).astype(np.uint8), cv2.DIST_C, cv2.DIST_MASK_PRECISE), 0)
    assert not weight[distance > 2 * width].any()
    assert (weight[(distance > 0) & (distance <= width)] > 0).all()
