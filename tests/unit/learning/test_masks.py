"""A face is outlined where the model sees it, whatever the layout, the values and the size of its output are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from decoded_models import without_memory, write_mask_model
from tessera.core.errors import TesseraError
from tessera.core.provenance import sha256_file
from tessera.learning.mask_settings import MaskModelSettings
from tessera.learning.masks import MaskModel

SIDE = 64
# A red rectangle on blue.
SQUARE = np.zeros((128, 128, 3), np.uint8)
SQUARE[...] = (10, 40, 200)
SQUARE[32:96, 16:64] = (250, 40, 20)
EXPECTED = (SQUARE[..., 0] > 128) * np.uint8(255)
RED, BLUE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)


def outlined(path: Path, *squares: np.ndarray, **settings: Any) -> list[np.ndarray | None]:
    model = MaskModel(path, sha256_file(path), MaskModelSettings(**{"size": SIDE, **settings}))
    return list(model.outline(squares or [SQUARE]))


def agrees(mask: np.ndarray | None) -> bool:
    """Return whether `mask` is that of the rectangle, up to the pixels at its border."""
    assert mask is not None and mask.dtype == np.uint8 and set(np.unique(mask)) == {0, 255}
    return mask.shape == EXPECTED.shape and np.mean(mask != EXPECTED) < 0.02


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(
    ("weights", "settings"),
    [
        ([RED], {}),
        ([BLUE], {"channels": "BGR"}),
        ([(20.0, 0.0, -20.0)], {"output": "logits"}),
        ([(0.0, 0.0, 1.0), (9.0, 0.0, 0.0), (0.0, 9.0, 0.0)], {"output": "classes"}),
        ([(0.0, 0.0, 9.0), (9.0, 0.0, 0.0), (9.0, 0.0, 0.0)], {"output": "classes", "face_classes": [1, 2]}),
        ([RED], {"mean": [0.5] * 3, "std": [0.5] * 3, "output": "logits"}),
    ],
    ids=["probabilities", "BGR", "logits", "classes", "several classes", "normalised"],
)
def test_the_face_is_outlined_where_the_model_sees_it(
    tmp_path: Path, weights: list[tuple[float, ...]], settings: dict[str, Any], channels_last: bool
) -> None:
    path = write_mask_model(tmp_path / "m.onnx", weights, SIDE, channels_last=channels_last)
    first, empty = outlined(path, SQUARE, np.full_like(SQUARE, (0, 40, 250)), **settings)
    assert agrees(first) and empty is not None and not empty.any()


def test_numbers_of_classes_are_read(tmp_path: Path) -> None:
    path = write_mask_model(tmp_path / "m.onnx", [BLUE, RED], SIDE, argmax=True)
    assert agrees(outlined(path, output="classes")[0])


class Coarse(torch.nn.Module):
    """Red and its complement at a quarter of the size of the input, in a dictionary, after an output for the training."""

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        red = torch.nn.functional.avg_pool2d(x, 4)[:, 0]
        return {"loss": torch.zeros(7, 3), "out": red, "more": 1 - red}


def test_an_output_of_another_size_is_scaled_and_that_of_the_first_fit_is_taken(tmp_path: Path) -> None:
    torch.jit.script(Coarse()).save(tmp_path / "m.pt")
    [mask] = outlined(tmp_path / "m.pt")
    assert agrees(mask)


def test_faces_are_outlined_alike_in_batches_of_any_size(tmp_path: Path) -> None:
    path = write_mask_model(tmp_path / "m.onnx", [RED], SIDE)
    squares = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), np.uint8)
    together, one = (outlined(path, *squares, batch=batch) for batch in (16, 1))
    np.testing.assert_array_equal(together, one)


def test_numbers_that_are_not_finite_give_no_mask(tmp_path: Path) -> None:
    path = write_mask_model(tmp_path / "m.onnx", [(float("nan"), 0, 0)], SIDE)
    assert outlined(path, output="logits") == [None]


@pytest.mark.parametrize(
    ("weights", "settings", "message"),
    [
        ([(9.0, 0.0, 0.0)], {}, "values run from .* which are `logits`"),
        ([RED, BLUE], {}, r"it returns numbers of the shapes \(1, 2, 64, 64\)"),
        ([RED, BLUE], {"output": "classes", "face_classes": [2]}, "it has 2 classes, and `masks.face_classes` names 2"),
        ([RED], {"output": "classes"}, "it returns numbers of the shapes"),
        ([RED], {"size": 32}, "cannot be used as a model of masks .*set `masks.size` and `masks.output`"),
    ],
)
def test_a_model_that_does_not_fit_the_settings_is_refused(
    tmp_path: Path, weights: list[tuple[float, ...]], settings: dict[str, Any], message: str
) -> None:
    path = write_mask_model(tmp_path / "m.onnx", weights, SIDE)
    with pytest.raises(TesseraError, match=message):
        outlined(path, **settings)


def test_a_lack_of_memory_is_no_other_fault_of_the_model(tmp_path: Path) -> None:
    path = without_memory(write_mask_model(tmp_path / "m.onnx", [RED], SIDE))
    with pytest.raises(TesseraError, match=r"Failed to allocate memory.*; lower `masks\.batch`$"):
        outlined(path)


def test_another_file_than_the_declared_one_is_refused(tmp_path: Path) -> None:
    path = write_mask_model(tmp_path / "m.onnx", [RED], SIDE)
    with pytest.raises(TesseraError, match="sha256"):
        MaskModel(path, "0" * 63 + "1", MaskModelSettings(size=SIDE))
