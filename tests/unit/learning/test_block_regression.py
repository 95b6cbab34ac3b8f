"""What a regression tells of the pixels of blocks, how it is learned, and its file."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage import data

from tessera.core.errors import TesseraError
from tessera.imaging.images import resize
from tessera.imaging.mosaic.smooth import SIDE
from tessera.learning import block_regression
from tessera.learning.block_regression import (
    ARCHITECTURE,
    AROUND,
    GREY,
    NEAR,
    PIXELS,
    PLAIN,
    BlockRegression,
    learn_regression,
    read_regression,
    write_regression,
)
from tessera.learning.weights.tensors import safetensors_bytes

PATTERNS = 12
SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))


def photo(name: str, length: int) -> np.ndarray:
    """Return a photograph, `length` pixels long."""
    picture = getattr(data, name)()
    return resize(picture, *(round(side * length / max(picture.shape[:2])) for side in picture.shape[:2]))


def learn(*more: np.ndarray, patterns: int = PATTERNS) -> BlockRegression:
    pictures = [photo("coffee", 330), photo("chelsea", 330), *more]
    return learn_regression(pictures, patterns, np.random.default_rng(0))


@pytest.fixture(scope="module")
def regression() -> BlockRegression:
    return learn()


def means_of(picture: np.ndarray) -> np.ndarray:
    rows, columns = picture.shape[0] // SIDE, picture.shape[1] // SIDE
    return np.asarray(picture.reshape(rows, SIDE, columns, SIDE, 3).mean(axis=(1, 3)))


def drawn(shape: tuple[int, int], spread: float, seed: int) -> np.ndarray:
    """Return means of blocks of which some have a pattern, and some have none."""
    means = np.random.default_rng(seed).normal(128, spread, (*shape, 3))
    return means.astype(np.float32)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / (((one.astype(float) - other) ** 2).mean() + 1e-9)))


def plainly(regression: BlockRegression, means: np.ndarray) -> np.ndarray:
    """Return `regression.picture(means)`, block by block."""
    height, width = means.shape[:2]
    picture = np.zeros((height * SIDE, width * SIDE, 3))
    for row in range(height):
        for column in range(width):
            rows = np.clip(np.arange(row - AROUND, row + AROUND + 1), 0, height - 1)
            columns = np.clip(np.arange(column - AROUND, column + AROUND + 1), 0, width - 1)
            around = means[np.ix_(rows, columns)] - means[row, column]
            brightness = around @ GREY
            near = brightness[AROUND - NEAR : AROUND + NEAR + 1, AROUND - NEAR : AROUND + NEAR + 1]
            number = max(range(len(regression.patterns)), key=lambda each: abs(near.ravel() @ regression.patterns[each]))
            if brightness.std() < PLAIN:
                number = -1
            for channel in range(3):
                inside = around[:, :, channel].ravel() @ regression.regressions[number]
                block = (inside - inside.mean() + means[row, column, channel]).reshape(SIDE, SIDE)
                picture[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE, channel] = block
    return picture


# Its pictures


@given(SHAPES, st.floats(0, 60), st.integers(0, 999))
def test_a_picture_is_the_regression_of_the_nearest_pattern_block_by_block(
    regression: BlockRegression, shape: tuple[int, int], spread: float, seed: int
) -> None:
    means = drawn(shape, spread, seed)
    assert np.abs(regression.picture(means) - plainly(regression, means)).max() < 0.01


@given(SHAPES, st.floats(0, 120), st.integers(0, 999))
def test_a_picture_has_the_means_that_it_was_made_of(
    regression: BlockRegression, shape: tuple[int, int], spread: float, seed: int
) -> None:
    means = drawn(shape, spread, seed)
    picture = regression.picture(means)
    assert picture.shape == (shape[0] * SIDE, shape[1] * SIDE, 3) and picture.dtype == np.float32
    assert np.abs(means_of(picture) - means).max() < 0.001


@given(SHAPES, st.floats(0, 60), st.integers(0, 999), st.integers(-300, 300))
def test_a_brighter_mosaic_has_the_same_picture_but_brighter(
    regression: BlockRegression, shape: tuple[int, int], spread: float, seed: int, more: int
) -> None:
    means = drawn(shape, spread, seed).round()  # whole numbers, whose differences are exact
    assert np.abs(regression.picture(means + more) - regression.picture(means) - more).max() < 0.001


@given(SHAPES, st.floats(0, 60), st.integers(0, 999))
def test_the_negative_of_a_mosaic_has_the_negative_of_its_picture(
    regression: BlockRegression, shape: tuple[int, int], spread: float, seed: int
) -> None:
    means = drawn(shape, spread, seed).round()
    assert np.abs(regression.picture(-means) + regression.picture(means)).max() < 0.001


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_turned_or_mirrored_mosaic_has_nearly_the_same_picture(
    turns: int, mirrored: bool, regression: BlockRegression
) -> None:
    means = resize(photo("astronaut", 256), 64, 64).astype(np.float32)

    def turned(picture: np.ndarray) -> np.ndarray:
        return np.rot90(picture[:, ::-1] if mirrored else picture, turns)

    picture = regression.picture(means)
    differs = regression.picture(turned(means)) - turned(picture)
    details = picture - means.repeat(SIDE, axis=0).repeat(SIDE, axis=1)
    assert differs.std() < 0.4 * details.std()


@pytest.mark.parametrize("length", [200, 400])
def test_it_restores_a_photograph_that_it_did_not_learn_from_better_than_bicubic_interpolation(
    length: int, regression: BlockRegression
) -> None:
    for name in ("astronaut", "rocket"):
        clean = photo(name, length)
        height, width = (side // SIDE * SIDE for side in clean.shape[:2])
        clean = clean[:height, :width]
        means = means_of(clean).astype(np.float32)
        bicubic = cv2.resize(means, (width, height), interpolation=cv2.INTER_CUBIC)
        assert psnr(regression.picture(means), clean) > psnr(bicubic, clean) + 0.1
        assert psnr(bicubic, clean) > psnr(means.repeat(SIDE, axis=0).repeat(SIDE, axis=1), clean)


# Learning


def test_the_same_pictures_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_regression(learn(), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


@pytest.mark.parametrize(
    "picture",
    [
        np.full((1, 1, 3), 7, np.uint8),
        np.random.default_rng(0).integers(0, 256, (20_000, 20, 3), np.uint8),
        np.random.default_rng(0).integers(0, 256, (20, 20_000, 3), np.uint8),
        np.zeros((300, 400, 3), np.uint8),
    ],
    ids=["a pixel", "tall", "wide", "black"],
)
def test_pictures_without_anything_to_learn_do_no_harm(picture: np.ndarray, regression: BlockRegression) -> None:
    made = learn(picture)
    assert made.patterns.shape == regression.patterns.shape
    assert np.isfinite(made.patterns).all() and np.isfinite(made.regressions).all()
    means = resize(photo("astronaut", 256), 64, 64).astype(np.float32)
    assert psnr(made.picture(means), regression.picture(means)) > 30


def test_grey_pictures_are_learned_from() -> None:
    grey = cv2.cvtColor(photo("coffee", 330), cv2.COLOR_RGB2GRAY)[..., None].repeat(3, axis=2)
    made = learn_regression([grey], 4, np.random.default_rng(0))
    means = resize(photo("astronaut", 256), 64, 64).astype(np.float32)
    bicubic = cv2.resize(means, (256, 256), interpolation=cv2.INTER_CUBIC)
    assert psnr(made.picture(means), photo("astronaut", 256)) > psnr(bicubic, photo("astronaut", 256))


def test_patterns_that_few_blocks_have_are_restored_as_those_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_regression, "FEWEST", 10**9)
    made = learn(patterns=3)
    assert (made.regressions == made.regressions[-1]).all()
    assert np.allclose(np.linalg.norm(made.patterns, axis=1), 1, atol=1e-5)


# Its file


def test_a_file_has_the_regression_in_half_precision(regression: BlockRegression, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_regression(regression, path)
    found = read_regression(path)
    assert found is not None and found.patterns.dtype == found.regressions.dtype == np.float32
    for name in ("patterns", "regressions"):
        one, other = getattr(regression, name), getattr(found, name)
        assert one.shape == other.shape and np.abs(one - other).max() <= 2**-11 * np.abs(one).max()
        assert np.array_equal(other, one.astype(np.float16).astype(np.float32))
    write_regression(found, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


TENSORS = {"patterns": torch.zeros(2, (2 * NEAR + 1) ** 2), "regressions": torch.zeros(3, (2 * AROUND + 1) ** 2, PIXELS)}


def of(kind: str = ARCHITECTURE, **tensors: torch.Tensor) -> bytes:
    return safetensors_bytes(TENSORS | tensors, {"format": "pt", "architecture": kind})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_numbers_of_any_precision_are_read(dtype: torch.dtype, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(of(**{name: tensor.to(dtype) for name, tensor in TENSORS.items()}))
    found = read_regression(path)
    assert found is not None and found.regressions.dtype == np.float32


@pytest.mark.parametrize(
    "content",
    [
        of()[:-7],
        of()[:50],
        of()[:9],
        b"\xff" * 8 + b"{" + of(),
        safetensors_bytes({"patterns": TENSORS["patterns"]}, {"architecture": ARCHITECTURE}),
        safetensors_bytes({"generator": torch.zeros(3)}, {"architecture": ARCHITECTURE}),
        of(patterns=torch.zeros(3, (2 * NEAR + 1) ** 2)),
        of(patterns=torch.zeros(2, (2 * NEAR + 3) ** 2)),
        of(patterns=torch.tensor(1.0)),
        of(patterns=torch.zeros(0, (2 * NEAR + 1) ** 2), regressions=TENSORS["regressions"][:1].clone()),
        of(regressions=torch.zeros(3, (2 * AROUND + 1) ** 2, 4)),
        of(regressions=TENSORS["regressions"] + float("nan")),
        of(regressions=TENSORS["regressions"] - float("inf")),
        of(patterns=TENSORS["patterns"] + float("nan")),
    ],
)
def test_a_file_that_is_damaged_or_has_other_tensors_is_refused_by_its_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes(content)
    with pytest.raises(TesseraError, match=r"mine\.safetensors"):
        read_regression(path)


@pytest.mark.parametrize("kind", ["BasicVSR++", "a new one"])
def test_models_of_another_kind_are_none(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(of(kind))
    assert read_regression(path) is None


@pytest.mark.parametrize("is_zip", [True, False])
def test_checkpoints_of_torch_are_none(is_zip: bool, tmp_path: Path) -> None:
    path, content = tmp_path / "a.pth", dict[str, Any](TENSORS)
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    assert read_regression(path) is None
