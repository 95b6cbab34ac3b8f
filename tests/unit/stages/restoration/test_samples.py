"""Samples of clips have one mosaic grid, aligned layers and equal draws for equal seeds, and decode only what they need."""

import json
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from restoration_clips import texture, write_clip, write_moving_clip
from tessera.core.errors import Dropped, Failed
from tessera.imaging.crops import Fit
from tessera.imaging.degradation.settings import Step
from tessera.imaging.video import read_frames, read_packets
from tessera.records.lada.clips import METADATA, Clip, read_clips
from tessera.stages.restoration.samples import Sample, draw_sample, fixed_sample
from tessera.stages.restoration.settings import DataSettings

LAYERS = "mosaicked", "clean", "mask", "content"
# Square blocks of 8 pixels with a hard edge, and no other change of a window.
PLAIN = DataSettings.model_validate(
    {
        "size": 96,
        "mosaics": {"version": "v3", "scale": [2, 2], "types": {"squa_avg": 1}, "feathered": 0},
        "degradations": [],
        "flip": 0,
        "rotate": 0,
    }
)


def plain(**values: Any) -> DataSettings:
    return PLAIN.model_copy(update=values)


def anchored(anchor: str, **values: Any) -> DataSettings:
    return plain(mosaics=PLAIN.mosaics.model_copy(update={"anchor": anchor, **values}))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    folder = tmp_path_factory.mktemp("dataset")
    write_moving_clip(folder)
    return read_clips(folder)[0]


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """A clip of 210 frames, with a keyframe every 15 frames."""
    folder = tmp_path_factory.mktemp("dataset")
    write_moving_clip(folder, count=210)
    return read_clips(folder)[0]


def equal(one: Sample, other: Sample) -> bool:
    return (one.key, one.first, one.block) == (other.key, other.first, other.block) and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in LAYERS
    )


def read(path: Path) -> np.ndarray:
    return np.stack([frame.image() for frame in read_frames(path, read_packets(path))])


# The content of a sample


@pytest.mark.parametrize(("size", "keep_aspect"), [(96, False), (64, False), (128, True), (80, True)])
def test_footage_is_fitted_to_the_restorer_like_its_samples(clip: Clip, size: int, keep_aspect: bool) -> None:
    sample = fixed_sample(clip, plain(size=size, keep_aspect=keep_aspect), frames=12, seed=3)
    fit = Fit(clip.shape, size, keep_aspect)
    stored = read(clip.images)[sample.first : sample.first + 12]
    for number, image in enumerate(stored):
        pad = tuple(clip.pads[sample.first + number].tolist())
        top, bottom, left, right = pad
        crop = image[top : clip.shape[0] - bottom, left : clip.shape[1] - right]
        square = fit.square(crop, pad)
        assert np.array_equal(square, sample.clean[number])
        back = fit.crop(square, pad)
        assert back.shape == crop.shape
        assert np.abs(back.astype(int) - crop)[2:-2, 2:-2].mean() < (3 if size >= 96 else 6)


def slow_mosaic(clip: Clip, number: int, image: np.ndarray, mask: np.ndarray, anchor: str, block: int = 8) -> np.ndarray:
    """Return frame `number` of a clip with a block wherever its centre is in the region, pixel by pixel of the crop."""
    top, bottom, left, right = clip.pads[number].tolist()
    crop, region = (layer[top : layer.shape[0] - bottom, left : layer.shape[1] - right] for layer in (image, mask))
    assert clip.corners is not None
    x, y = {
        "frame": clip.corners[number].tolist(),
        "crop": (0, 0),
        "region": (-np.flatnonzero(region.any(axis=0))[0], -np.flatnonzero(region.any(axis=1))[0]),
    }[anchor]
    rows, columns = (np.arange(crop.shape[0]) + y) // block, (np.arange(crop.shape[1]) + x) // block
    result = image.copy()
    for row in set(rows.tolist()):
        for column in set(columns.tolist()):
            where = np.ix_(np.flatnonzero(rows == row), np.flatnonzero(columns == column))
            middle = [
                min(max(index * block + block // 2 - offset, 0), length - 1)
                for index, offset, length in zip((row, column), (y, x), crop.shape[:2], strict=True)
            ]
            if region[tuple(middle)]:
                inside = where[0] + top, where[1] + left
                result[inside] = np.rint(crop[where].mean(axis=(0, 1)))
    return result


@pytest.mark.parametrize("anchor", ["frame", "crop", "region"])
def test_a_sample_is_a_window_of_frames_with_one_mosaic_grid(clip: Clip, anchor: str) -> None:
    images, masks = read(clip.images), read(clip.masks)[..., 0]
    assert clip.shape == (96, 96)
    firsts = set()
    for epoch in range(4):
        sample = draw_sample(clip, anchored(anchor), frames=6, seed=0, epoch=epoch)
        firsts.add(sample.first)
        window = range(sample.first, sample.first + 6)
        assert (sample.clean == images[window]).all()
        expected = np.stack([slow_mosaic(clip, number, images[number], masks[number], anchor) for number in window])
        assert (sample.mosaicked == expected).all()
        assert (sample.mosaicked != sample.clean).any(axis=-1)[sample.mask > 0].mean() > 0.9
        assert (sample.mosaicked == sample.clean)[sample.mask == 0].all()
        assert sample.block == 8
        for number, content in zip(window, sample.content, strict=True):
            top, bottom, left, right = clip.pads[number].tolist()
            assert (
                content == np.pad(np.full((96 - top - bottom, 96 - left - right), 255), ((top, bottom), (left, right)))
            ).all()
    assert len(firsts) > 2


def test_a_grid_anchored_to_the_frame_does_not_move_with_the_crops(clip: Clip) -> None:
    def shown(anchor: str) -> list[np.ndarray]:
        """Return the frames at their places in the footage; everything but whole blocks of the mosaic is black."""
        sample = fixed_sample(clip, anchored(anchor), frames=8, seed=0)
        assert clip.corners is not None
        frames = []
        for number in range(8):
            (x, y), pad = clip.corners[sample.first + number].tolist(), clip.pads[sample.first + number].tolist()
            frame = np.zeros((160 + 96, 240 + 96, 3), np.uint8)
            place = slice(y - pad[0] + 48, y - pad[0] + 144), slice(x - pad[2] + 48, x - pad[2] + 144)
            frame[place] = sample.mosaicked[number] * (sample.mask[number] > 0)[..., None]
            frames.append(frame)
        return frames

    def moved(frames: list[np.ndarray]) -> float:
        both = (frames[0] > 0).all(axis=-1) & (frames[-1] > 0).all(axis=-1)
        assert both.sum() > 200
        return float((frames[0] != frames[-1]).any(axis=-1)[both].mean())

    assert moved(shown("frame")) == 0
    assert moved(shown("crop")) > 0.5


def test_the_grid_of_a_clip_without_crops_in_its_metadata_is_anchored_to_the_clip(tmp_path: Path, clip: Clip) -> None:
    write_moving_clip(tmp_path, crops=None)
    (silent,) = read_clips(tmp_path)
    assert equal(fixed_sample(silent, PLAIN, frames=4, seed=0), fixed_sample(clip, anchored("crop"), frames=4, seed=0))


def test_block_sizes_depend_on_the_area_of_the_region_in_its_frame(clip: Clip) -> None:
    settings = plain(mosaics=DataSettings().mosaics.model_copy(update={"min_block": 2}))
    blocks = [draw_sample(clip, settings, frames=2, seed=0, epoch=epoch).block for epoch in range(60)]
    # v1: 1244 square pixels at 160 by 240 are 12739 at 512, where blocks have 7.4 pixels, so 2.3 here; times 0.7 to 2.2,
    # truncated.
    assert min(blocks) == 2
    assert 4 <= max(blocks) <= 5 * 1.8**0.5


@pytest.mark.parametrize("keep_aspect", [False, True])
def test_images_and_masks_are_scaled_mirrored_and_rotated_together(tmp_path: Path, keep_aspect: bool) -> None:
    frame = texture(150, 200)
    crops = [(10, 30, 170, 130), (12, 30, 168, 126), (10, 34, 170, 130)]
    mask = np.zeros((150, 200), np.uint8)
    cv2.ellipse(mask, (70, 80), (30, 20), 0, 0, 360, 255, -1)
    write_clip(tmp_path, "wide-0000000-000", [frame] * 3, [mask] * 3, crops)
    (wide,) = read_clips(tmp_path)
    for size, epoch in ((64, 0), (128, 1), (200, 2)):
        settings = plain(size=size, keep_aspect=keep_aspect, flip=0.5, rotate=1.0, angle=20.0)
        sample = draw_sample(wide, settings, frames=3, seed=0, epoch=epoch)
        assert sample.mosaicked.shape == sample.clean.shape == (3, size, size, 3)
        assert sample.mask.shape == sample.content.shape == (3, size, size)
        assert all(getattr(sample, name).flags.c_contiguous for name in LAYERS)
        assert {*np.unique(sample.mask)} == {*np.unique(sample.content)} == {0, 255}
        padding, region = sample.content == 0, sample.mask > 0
        assert not sample.clean[padding].any()
        assert not sample.mosaicked[padding].any()
        assert not (padding & region).any()
        changed = (sample.mosaicked != sample.clean).any(axis=-1)
        for where, shown in zip(changed, region, strict=True):
            near = cv2.dilate(shown.astype(np.uint8), np.ones((9, 9))) > 0
            assert not where[~near].any()
        assert changed[region].mean() > 0.8
        # The covered fraction equals that of the clip, unless rotation moves the region out of the picture.
        assert abs(region.sum() / (~padding).sum() - 0.118) < 0.03
        scales = (size / 160, size / (160 if keep_aspect else 100))
        assert sample.block == pytest.approx(8 * np.sqrt(np.prod(scales)), rel=0.01)


def test_the_aspect_ratio_is_kept_if_the_setting_says_so(tmp_path: Path) -> None:
    frame = texture(150, 200)
    write_clip(tmp_path, "wide-0000000-000", [frame] * 2, [np.full((150, 200), 255, np.uint8)] * 2, [(0, 0, 160, 80)] * 2)
    (wide,) = read_clips(tmp_path)
    kept = fixed_sample(wide, plain(size=128, keep_aspect=True), frames=2, seed=0)
    assert (kept.content[0] == np.pad(np.full((64, 128), 255), ((32, 32), (0, 0)))).all()
    assert (kept.clean[:, 32:96] == [cv2.resize(frame[:80, :160], (128, 64), interpolation=cv2.INTER_AREA)] * 2).mean() > 0.4
    assert (fixed_sample(wide, plain(size=128), frames=2, seed=0).content == 255).all()


def test_a_mirrored_sample_is_the_mirror_image_of_the_sample(clip: Clip) -> None:
    for epoch in range(3):
        usual, mirrored = (draw_sample(clip, plain(flip=flip, size=64), frames=3, seed=0, epoch=epoch) for flip in (0.0, 1.0))
        for name in LAYERS:
            assert (getattr(usual, name) == getattr(mirrored, name)[:, :, ::-1]).all()


def test_only_the_mosaicked_clip_is_degraded_depending_on_its_blocks(clip: Clip) -> None:
    chain = [
        {
            "all_of": {
                "probability": 1,
                "min_block_fraction": 0.08,
                "steps": [{"mpeg2": {"probability": 1, "quantizer": [20, 20]}}],
            }
        }
    ]
    steps = tuple(Step.model_validate(step) for step in chain)
    for size in (96, 48):
        # Blocks of 8 pixels in 96, which is 0.083 at any size.
        without, fine = (
            fixed_sample(clip, plain(size=size, degradations=degradations), frames=4, seed=0) for degradations in ((), steps)
        )
        assert (without.clean == fine.clean).all()
        assert (without.degradations, fine.degradations) == ((), ("mpeg2",))
        assert np.abs(without.mosaicked.astype(int) - fine.mosaicked).mean() > 3
        assert not fine.mosaicked[fine.content == 0].any()
        small = anchored("frame", scale=(1.5, 1.5)).model_copy(update={"size": size})
        assert equal(
            fixed_sample(clip, small, frames=4, seed=0),
            fixed_sample(clip, small.model_copy(update={"degradations": steps}), frames=4, seed=0),
        )


# Seeds


def test_a_sample_depends_only_on_seed_epoch_and_clip(tmp_path: Path, clip: Clip) -> None:
    settings = DataSettings(size=64)
    keys = [(seed, epoch) for seed in (0, 1) for epoch in range(4)]
    drawn = [draw_sample(clip, settings, frames=4, seed=seed, epoch=epoch) for seed, epoch in keys]
    again = [draw_sample(clip, settings, frames=4, seed=seed, epoch=epoch) for seed, epoch in reversed(keys)]
    assert all(equal(one, other) for one, other in zip(drawn, reversed(again), strict=True))
    write_moving_clip(tmp_path, "other-0000000-000")
    drawn.append(draw_sample(read_clips(tmp_path)[0], settings, frames=4, seed=0, epoch=0))
    assert len({sample.mosaicked.tobytes() for sample in drawn}) == len(drawn)


def test_validation_samples_are_always_the_same_and_not_rotated(clip: Clip) -> None:
    settings = DataSettings(size=64)
    first = fixed_sample(clip, settings, frames=4, seed=0)
    assert equal(first, fixed_sample(clip, settings, frames=4, seed=0))
    turned = settings.model_copy(update={"flip": 1.0, "rotate": 1.0})
    assert equal(first, fixed_sample(clip, turned, frames=4, seed=0))
    assert not equal(first, draw_sample(clip, turned, frames=4, seed=0, epoch=0))


# Decoding


def test_only_the_frames_that_the_window_needs_are_decoded(long: Clip, tmp_path: Path) -> None:
    def damage(path: Path, first: int, last: int) -> Path:
        """Return a copy of `path` with damage in each frame after `last`, and before the keyframe of `first`."""
        content = bytearray(path.read_bytes())
        with av.open(str(path)) as container:
            packets = [(packet.pts, packet.pos, packet.size, packet.is_keyframe) for packet in container.demux(video=0)]
        packets = sorted(packet for packet in packets if packet[2])
        first = max(number for number in range(first + 1) if packets[number][3])
        for number, (_, place, size, _) in enumerate(packets):
            if not first <= number <= last:
                content[place + size // 2 : place + size] = bytes(size - size // 2)
        copy = tmp_path / path.name
        copy.write_bytes(content)
        return copy

    seed = next(seed for seed in range(99) if 130 <= fixed_sample(long, PLAIN, frames=8, seed=seed).first < 160)
    whole = fixed_sample(long, PLAIN, frames=8, seed=seed)
    # Some pictures of the window depend on frames shortly after it.
    images, masks = damage(long.images, whole.first, whole.first + 11), damage(long.masks, whole.first, whole.first + 7)
    torn = Clip(**{**vars(long), "images": images, "masks": masks})
    assert equal(fixed_sample(torn, PLAIN, frames=8, seed=seed), whole)
    for other in range(99):
        if not 120 <= fixed_sample(long, PLAIN, frames=8, seed=other).first < 170:
            with pytest.raises(Dropped):
                fixed_sample(torn, PLAIN, frames=8, seed=other)
            break


def test_another_window_is_tried_if_one_shows_no_region(tmp_path: Path) -> None:
    frame = texture(64, 64)
    masks = [np.full((64, 64), 255 * (number >= 20), np.uint8) for number in range(40)]
    write_clip(tmp_path, "film-0000000-000", [frame] * 40, masks, [(0, 0, 64, 64)] * 40)
    (late,) = read_clips(tmp_path)
    firsts = [draw_sample(late, plain(size=64), frames=10, seed=0, epoch=epoch).first for epoch in range(20)]
    assert 10 < min(firsts) < 20 < max(firsts) <= 30
    with_region = fixed_sample(late, plain(size=64), frames=30, seed=0)
    shown = [bool(mask.any()) for mask in with_region.mask]
    assert shown == [number >= 20 for number in range(with_region.first, with_region.first + 30)]


def reason(clip: Clip, frames: int = 8, settings: DataSettings = PLAIN) -> str:
    with pytest.raises(Dropped) as error:
        fixed_sample(clip, settings, frames=frames, seed=0)
    return f"{type(error.value).__name__}: {error.value}"


def test_a_clip_that_gives_no_sample_says_why(clip: Clip, tmp_path: Path) -> None:
    assert reason(clip, 41) == "Dropped: clip shorter than the window: 40 of 41 frames"
    frame = texture(64, 64)
    write_clip(tmp_path, "film-0000000-000", [frame] * 9, [np.zeros((64, 64), np.uint8)] * 9, [(0, 0, 64, 64)] * 9)
    assert reason(read_clips(tmp_path)[0]) == "Dropped: no region in the window: nor in any of 2"
    speck = np.zeros((64, 64), np.uint8)
    speck[33, 33] = 255
    write_clip(tmp_path, "film-0000000-000", [frame] * 9, [speck] * 9, [(0, 0, 64, 64)] * 9)
    assert reason(read_clips(tmp_path)[0]) == ("Dropped: no block in the window: the region is too small for blocks of 8 by 8")


def test_a_damaged_file_fails_with_its_name(clip: Clip, tmp_path: Path) -> None:
    def with_file(name: str, content: bytes) -> Clip:
        path = tmp_path / getattr(clip, name).name
        path.write_bytes(content)
        return Clip(**{**vars(clip), name: path})

    for name in ("images", "masks"):
        file = getattr(clip, name).name
        assert reason(with_file(name, b"")).startswith("Failed: empty file: ")
        assert reason(with_file(name, b"nothing")).startswith("Failed: not a media file: ")
        gone = Clip(**{**vars(clip), name: tmp_path / "gone" / file})
        assert reason(gone).startswith("Failed: missing: ")
    torn = clip.masks.read_bytes()[: clip.masks.stat().st_size // 2]
    assert reason(with_file("masks", torn)).startswith("Failed: clip does not match its metadata: film-0000000-000.mkv has ")
    packets = bytearray(clip.images.read_bytes())
    start = packets.index(b"mdat") + 4
    packets[start : start + 200_000] = bytes(200_000)
    assert reason(with_file("images", bytes(packets))).startswith("Failed: frame cannot be decoded: ")


def test_a_clip_that_differs_from_its_metadata_fails(tmp_path: Path) -> None:
    write_moving_clip(tmp_path, count=9)
    path = tmp_path / METADATA / "film-0000000-000.json"
    known = json.loads(path.read_text())
    path.write_text(json.dumps(known | {"scene_shape": [96, 98], "crops": None}))
    assert reason(read_clips(tmp_path)[0]) == (
        "Failed: clip does not match its metadata: film-0000000-000.mkv is (96, 96) pixels, not (96, 98)"
    )
    path.write_text(json.dumps(known | {"frames_count": 8, "pad": known["pad"][:8], "crops": known["crops"][:8]}))
    assert reason(read_clips(tmp_path)[0]) == (
        "Failed: clip does not match its metadata: film-0000000-000.mkv has 9 frames, not 8"
    )
    assert issubclass(Failed, Dropped)
