"""Pairs of frames with a known flow: the first shows what the second shows where the flow leads."""

import cv2
import numpy as np
import pytest
from skimage import data

from tessera.demo import flow_pairs
from tessera.demo.flow_pairs import SCALE, SIZE, make_flow_pair, moving_pair


@pytest.fixture(scope="module")
def photographs() -> list[np.ndarray]:
    return [data.astronaut(), data.coffee(), np.full((40, 3000, 3), 90, np.uint8), data.chelsea()[:9, :7]]


def follow(second: np.ndarray, flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what `second` shows after `flow`, and where that is in the frame."""
    rows, columns = np.indices(flow.shape[:2], np.float32)
    x, y = columns + flow[..., 0], rows + flow[..., 1]
    inside = (x >= 0) & (x <= flow.shape[1] - 1) & (y >= 0) & (y <= flow.shape[0] - 1)
    return cv2.remap(second, x, y, cv2.INTER_LINEAR).astype(float), inside


@pytest.mark.parametrize("seed", range(30))
def test_the_flow_leads_from_the_first_frame_to_the_same_in_the_second(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_pairs, "IN_FRONT", (1.0, 0.0, 0.0))
    (first, second), flow = moving_pair([cv2.GaussianBlur(data.astronaut(), (0, 0), 3)], np.random.default_rng(seed))
    shown, inside = follow(second, flow)
    assert np.abs(shown - first)[inside].mean() < 2 or not inside.any()


def test_most_of_what_is_not_covered_is_where_the_flow_leads() -> None:
    apart, still = [], []
    for seed in range(40):
        (first, second), flow = moving_pair([data.astronaut(), data.coffee()], np.random.default_rng(seed))
        shown, inside = follow(second, flow)
        apart.append(np.abs(shown - first)[inside].mean())
        still.append(np.abs(second.astype(float) - first)[inside].mean())
    assert np.mean(apart) < np.mean(still) / 3


@pytest.mark.parametrize("seed", range(40))
def test_pairs_of_pictures_of_any_shape_have_a_quarter_of_the_size(seed: int, photographs: list[np.ndarray]) -> None:
    frames, flow = make_flow_pair(photographs, np.random.default_rng(seed))
    side = SIZE // SCALE
    assert frames.shape == (2, side, side, 3) and frames.dtype == np.uint8
    assert flow.shape == (side, side, 2) and flow.dtype == np.float16 and np.isfinite(flow).all()


def test_equal_draws_give_equal_pairs(photographs: list[np.ndarray]) -> None:
    one, other = (make_flow_pair(photographs, np.random.default_rng(5)) for _ in range(2))
    assert all(np.array_equal(*each) for each in zip(one, other, strict=True))


def test_the_frames_are_those_that_the_flow_of_a_generator_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch scales without averaging, and so must a pair: otherwise blocks would look smoother here than in a training."""
    import torch
    import torch.nn.functional as F

    monkeypatch.setattr(flow_pairs, "degrade", lambda frames, *_: (degraded.append(frames), ()) and (frames, ()))
    degraded: list[np.ndarray] = []
    frames, _ = make_flow_pair([data.astronaut()], np.random.default_rng(3))
    pictures = torch.from_numpy(degraded[0]).permute(0, 3, 1, 2).float()
    expected = F.interpolate(pictures, scale_factor=1 / SCALE, mode="bicubic").round().clamp(0, 255).permute(0, 2, 3, 1)
    assert np.abs(frames.astype(int) - expected.numpy()).max() <= 1
