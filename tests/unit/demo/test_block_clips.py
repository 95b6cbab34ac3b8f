"""Clips of blocks: their means are those of pictures that move behind the grid."""

import cv2
import numpy as np
import pytest
from skimage import data

from tessera.demo.block_clips import BLOCKS, make_block_clip
from tessera.imaging.mosaic.means import SIDE
from tessera.learning.block_network import OFFSETS

MIDDLE = OFFSETS.index(0)


@pytest.fixture(scope="module")
def photographs() -> list[np.ndarray]:
    return [data.astronaut(), data.coffee(), np.full((40, 3000, 3), 90, np.uint8), data.chelsea()[:9, :7]]


@pytest.mark.parametrize("seed", range(40))
def test_the_means_of_the_middle_frame_are_those_of_its_picture(seed: int, photographs: list[np.ndarray]) -> None:
    means, picture = make_block_clip(photographs, np.random.default_rng(seed))
    assert means.shape == (len(OFFSETS), BLOCKS, BLOCKS, 3) and means.dtype == np.float16
    assert picture.shape == (BLOCKS * SIDE, BLOCKS * SIDE, 3) and picture.dtype == np.uint8
    assert np.isfinite(means).all() and means.min() >= 0 and means.max() <= 255
    of_picture = picture.reshape(BLOCKS, SIDE, BLOCKS, SIDE, 3).mean(axis=(1, 3))
    assert np.abs(of_picture - means[MIDDLE]).max() < 0.6  # of rounding


def test_equal_draws_give_equal_clips(photographs: list[np.ndarray]) -> None:
    one, other = (make_block_clip(photographs, np.random.default_rng(5)) for _ in range(2))
    assert all(np.array_equal(*each) for each in zip(one, other, strict=True))


def test_frames_move_more_the_further_they_are_from_the_middle_one() -> None:
    changes = []
    for seed in range(60):
        means = make_block_clip([data.astronaut()], np.random.default_rng(seed)).means.astype(float)
        changes.append(np.abs(means - means[MIDDLE]).mean(axis=(1, 2, 3)))
    mean = np.mean(changes, axis=0)
    order = np.argsort(np.abs(OFFSETS), kind="stable")
    assert mean[MIDDLE] == 0 and (mean[order[1:3]].max() < mean[order[3:5]].min() < mean[order[5:]].min())
    # Some clips are still, and few change at once into other pictures.
    assert 0.02 < np.mean([each.max() < 0.5 for each in changes]) < 0.3


def test_a_motion_in_a_straight_line_shows_the_photograph_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"STILL": 0, "SHAKEN": 0, "TURNED": 0, "BENT": 0, "COVERED": 0, "NEGATIVE": 0}.items():
        monkeypatch.setattr(f"tessera.demo.block_clips.{name}", value)
    monkeypatch.setattr("tessera.demo.block_clips.SPEEDS", (0.5, 0.500001))
    photo = cv2.GaussianBlur(data.astronaut(), (0, 0), 8)
    for seed in range(5):
        means = make_block_clip([photo], np.random.default_rng(seed)).means.astype(np.float32).mean(axis=-1)
        last = OFFSETS.index(1)
        (x, y), _ = cv2.phaseCorrelate(means[MIDDLE], means[last], cv2.createHanningWindow((BLOCKS, BLOCKS), cv2.CV_32F))
        assert 0.2 < np.hypot(x, y) < 1
