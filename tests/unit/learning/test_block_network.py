"""The network that tells what is in the blocks of a mosaic: what it keeps, which frames it looks at, and its file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.core.errors import TesseraError
from tessera.imaging.mosaic.means import SIDE
from tessera.learning.block_network import ARCHITECTURE, OFFSETS, BlockNetwork, build_network, read_network, write_network
from tessera.learning.weights.tensors import safetensors_bytes

FAR = max(OFFSETS)


def drawn() -> BlockNetwork:
    """Return a network whose numbers are all random, as if it had learned something."""
    torch.manual_seed(0)
    module = build_network(channels=8, layers=2).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, 0.1)
    return BlockNetwork(module)


NETWORK = drawn()


def video(count: int, height: int = 6, width: int = 7, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 255, (count, height, width, 3)).astype(np.float32)


def means_of(picture: np.ndarray) -> np.ndarray:
    height, width = (side // SIDE for side in picture.shape[:2])
    return np.asarray(picture.reshape(height, SIDE, width, SIDE, 3).mean(axis=(1, 3)))


@settings(max_examples=20)
@given(st.integers(1, 12), st.integers(1, 9), st.integers(1, 9), st.integers(0, 99), st.data())
def test_blocks_keep_their_means(count: int, height: int, width: int, seed: int, draw: st.DataObject) -> None:
    means, number = video(count, height, width, seed), draw.draw(st.integers(0, count - 1))
    picture = NETWORK.picture(means, number)
    assert picture.shape == (height * SIDE, width * SIDE, 3) and picture.dtype == np.float32
    assert np.abs(means_of(picture) - means[number]).max() < 0.01


def test_blocks_of_one_colour_stay_as_they_are_before_anything_is_learned() -> None:
    picture = BlockNetwork(build_network()).picture(np.full((3, 5, 5, 3), 77, np.float32), 1)
    assert np.abs(picture - 77).max() < 3


def test_frames_near_and_far_count_and_no_others() -> None:
    count = 4 * FAR
    means, middle = video(count), count // 2
    expected = NETWORK.picture(means, middle)
    for number in range(count):
        changed = means.copy()
        changed[number] = 255 - changed[number]
        assert np.array_equal(NETWORK.picture(changed, middle), expected) == (number - middle not in OFFSETS)


@pytest.mark.parametrize("number", [0, 3, 8])
def test_the_first_and_the_last_frame_count_as_if_they_went_on(number: int) -> None:
    means = video(9)
    longer = np.concatenate([means[:1]] * FAR + [means] + [means[-1:]] * FAR)
    assert np.array_equal(NETWORK.picture(means, number), NETWORK.picture(longer, FAR + number))
    alone = NETWORK.picture(means[[number]], 0)
    assert np.array_equal(alone, NETWORK.picture(means[[number] * 20], 10))


# Its file


def test_a_file_has_the_network_in_half_precision(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_network(NETWORK, path)
    found = read_network(path)
    assert found is not None
    for name, tensor in NETWORK.module.state_dict().items():
        assert torch.equal(found.module.state_dict()[name].cpu(), tensor.half().float())
    means = video(9)
    assert np.abs(found.picture(means, 4) - NETWORK.picture(means, 4)).max() < 2
    write_network(found, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


TENSORS = {name: tensor.clone() for name, tensor in build_network(channels=4, layers=1).state_dict().items()}


def of(kind: str = ARCHITECTURE, **tensors: torch.Tensor) -> bytes:
    changed = {name.replace("_", "."): tensor for name, tensor in tensors.items()}
    return safetensors_bytes(TENSORS | changed, {"format": "pt", "architecture": kind})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_numbers_of_any_precision_are_read(dtype: torch.dtype, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(of(**{name: tensor.to(dtype) for name, tensor in TENSORS.items()}))
    found = read_network(path)
    assert found is not None and all(tensor.dtype == torch.float32 for tensor in found.module.parameters())


@pytest.mark.parametrize(
    "content",
    [
        of()[:-7],
        of()[:50],
        of()[:9],
        b"\xff" * 8 + b"{" + of(),
        safetensors_bytes({"first.weight": TENSORS["first.weight"]}, {"architecture": ARCHITECTURE}),
        safetensors_bytes({"generator": torch.zeros(3)}, {"architecture": ARCHITECTURE}),
        of(first_weight=torch.zeros(4, 3, 3, 3)),
        of(first_weight=torch.tensor(1.0)),
        of(first_weight=torch.zeros(0, 27, 3, 3)),
        of(last_bias=torch.zeros(7)),
        of(more=torch.zeros(7)),
        of(last_bias=TENSORS["last.bias"] + float("nan")),
        of(last_weight=TENSORS["last.weight"] - float("inf")),
    ],
)
def test_a_file_that_is_damaged_or_has_other_tensors_is_refused_by_its_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes(content)
    with pytest.raises(TesseraError, match=r"mine\.safetensors"):
        read_network(path)


@pytest.mark.parametrize("kind", ["BasicVSR++", "a new one"])
def test_models_of_another_kind_are_none(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(of(kind))
    assert read_network(path) is None


@pytest.mark.parametrize("is_zip", [True, False])
def test_checkpoints_of_torch_are_none(is_zip: bool, tmp_path: Path) -> None:
    path, content = tmp_path / "a.pth", dict[str, Any](TENSORS)
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    assert read_network(path) is None
