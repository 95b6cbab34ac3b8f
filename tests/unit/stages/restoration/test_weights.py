"""Weights are read in every layout, without running code, and other files are refused."""

import json
import os
import zipfile
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.logging import HistoryBuffer
from safetensors.torch import save_file

from tessera.core.errors import TesseraError
from tessera.stages.restoration.models import load_generator
from tessera.stages.restoration.operators import provide_operators
from tessera.stages.restoration.settings import GeneratorSettings
from tessera.stages.restoration.weights import load_weights, read_weights, size_of


@cache
def generator(seed: int = 0, channels: int = 16, blocks: int = 1, is_low_res_input: bool = False) -> torch.nn.Module:
    provide_operators()
    from mmagic.models.editors.basicvsr_plusplus_net import BasicVSRPlusPlusNet

    torch.manual_seed(seed)
    built: torch.nn.Module = BasicVSRPlusPlusNet(channels, blocks, is_low_res_input=is_low_res_input)
    return built


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return generator().state_dict()


def prefixed(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": value for name, value in state.items()}


LAYOUTS = {
    "a generator by itself": lambda state, other: state,
    "stage 1 of Lada": lambda state, other: {**prefixed(state, "generator."), "step_counter": torch.zeros(1)},
    "what Lada's application loads": lambda state, other: prefixed(other, "generator.") | prefixed(state, "generator_ema."),
    "a checkpoint of mmengine": lambda state, other: {"meta": {"iter": 3}, "state_dict": prefixed(state, "generator.")},
    "a training of ours": lambda state, other: {
        "state_dict": prefixed(state, "generator_ema.") | prefixed(other, "discriminator.")
    },
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_generator_is_found_in_every_layout(layout: str, state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save(LAYOUTS[layout](state, generator(seed=1).state_dict()), tmp_path / "weights.pth")
    found = read_weights(tmp_path / "weights.pth")
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


def test_a_safetensors_file_is_recognised_by_its_content(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    save_file(state, tmp_path / "weights.pt")
    assert all(torch.equal(value, state[name]) for name, value in read_weights(tmp_path / "weights.pt").items())


def test_weights_in_half_precision_become_float32(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save({name: value.half() for name, value in state.items()}, tmp_path / "weights.pth")
    assert {value.dtype for value in read_weights(tmp_path / "weights.pth").values()} == {torch.float32}


def test_tensors_under_other_names_than_text_are_left_out(tmp_path: Path) -> None:
    torch.save({"conv_last.weight": torch.zeros(1), 1: torch.zeros(1)}, tmp_path / "weights.pth")
    assert read_weights(tmp_path / "weights.pth").keys() == {"conv_last.weight"}


def test_loaded_weights_equal_those_of_the_generator(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save(state, tmp_path / "weights.pth")
    other = deepcopy(generator(seed=1))
    load_weights(other, tmp_path / "weights.pth")
    assert all(torch.equal(value, state[name]) for name, value in other.state_dict().items())


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"channels": 32}, "contains a generator of 32 channels and 1 blocks, expected is one of 16 channels and 1 blocks"),
        ({"blocks": 2}, "contains a generator of 16 channels and 2 blocks, expected is one of 16 channels and 1 blocks"),
        ({"is_low_res_input": True}, r"48 weights differ, 'feat_extract\.0\.bias' first\); it is of another architecture"),
    ],
)
def test_weights_of_another_architecture_are_refused_with_the_differences(
    settings: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    torch.save(prefixed(generator(**settings).state_dict(), "generator."), tmp_path / "weights.pth")
    with pytest.raises(TesseraError, match=reason):
        load_weights(generator(), tmp_path / "weights.pth")


@pytest.mark.parametrize(("channels", "blocks"), [(8, 1), (16, 3)])
def test_a_generator_of_any_size_is_loaded(channels: int, blocks: int, tmp_path: Path) -> None:
    built = generator(channels=channels, blocks=blocks)
    torch.save({"state_dict": prefixed(built.state_dict(), "generator.")}, tmp_path / "weights.pth")
    assert size_of(tmp_path / "weights.pth") == GeneratorSettings(channels=channels, blocks=blocks)
    assert load_generator(tmp_path / "weights.pth").state_dict().keys() == built.state_dict().keys()


def test_a_size_that_the_architecture_does_not_have_is_refused_with_the_file(tmp_path: Path) -> None:
    torch.save({"conv_last.weight": torch.zeros(3, 7, 3, 3)}, tmp_path / "weights.pth")
    with pytest.raises(TesseraError, match=r"weights\.pth contains a generator of 0 channels and 0 blocks.*use weights of"):
        size_of(tmp_path / "weights.pth")


class Harm:
    """A hostile object in a pickle."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("harmed",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (Harm(), "not a file of only weights"),
        ({"state_dict": {}, "message_hub": HistoryBuffer([1.0], [1])}, "HistoryBuffer.*save only its `state_dict`"),
        ([1], "not a file of only weights"),
        ({}, "contains no BasicVSR"),
        ({"state_dict": 7}, "not a file of only weights"),
        ({"conv_last.weight": torch.tensor([1, float("nan")])}, "contains values that are not finite, in 'conv_last.weight'"),
    ],
)
def test_a_file_that_is_not_weights_is_refused_and_never_executed(
    content: Any, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(TesseraError, match=rf"weights\.pth .*{reason}"):
        read_weights(tmp_path / "weights.pth")
    assert not Path("harmed").exists()


@pytest.mark.parametrize("content", [b"", b"PK", b"<!doctype html>", b"\x08\0\0\0\0\0\0\0{aaaaaa}", b"\xff" * 8 + b"{"])
def test_a_file_of_another_kind_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(TesseraError, match=r"weights\.pth is not a file of only weights"):
        read_weights(tmp_path / "weights.pth")


def test_a_truncated_file_is_refused(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save(state, tmp_path / "weights.pth")
    whole = (tmp_path / "weights.pth").read_bytes()
    (tmp_path / "weights.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TesseraError, match=r"weights\.pth is not a file of only weights"):
        read_weights(tmp_path / "weights.pth")


HUGE = 10**9
HOSTILE = {
    "one value that is repeated": lambda path: torch.save({"conv_last.weight": torch.zeros(1).expand(HUGE, 3)}, path),
    "the same in half precision": lambda path: torch.save({"conv_last.weight": torch.zeros(1).half().expand(HUGE)}, path),
    "tensors of many names": lambda path: torch.save({f"{n}": torch.zeros(1000).expand(9, 1000) for n in range(99)}, path),
    "a sparse tensor": lambda path: torch.save({"conv_last.weight": torch.zeros(2).to_sparse()}, path),
    "a tensor without values": lambda path: torch.save({"conv_last.weight": torch.zeros(HUGE, device="meta")}, path),
    "a compressed archive": lambda path: repack(path, {"conv_last.weight": torch.zeros(10**6)}),
    "a header of a safetensors": lambda path: write_header(path, {"dtype": "F32", "shape": [HUGE], "data_offsets": [0, 8]}),
}


def repack(path: Path, content: Any) -> None:
    """Save `content`, with its archive compressed."""
    torch.save(content, path.with_suffix(".zip"))
    with zipfile.ZipFile(path.with_suffix(".zip")) as plain, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as small:
        for name in plain.namelist():
            small.writestr(name, plain.read(name))


def write_header(path: Path, tensor: dict[str, Any]) -> None:
    """Write a .safetensors of 8 bytes of values, whose header describes one `tensor`."""
    header = json.dumps({"conv_last.weight": tensor}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_file_that_declares_more_than_it_holds_is_refused(kind: str, tmp_path: Path) -> None:
    HOSTILE[kind](tmp_path / "weights.pth")
    with pytest.raises(TesseraError, match=r"weights\.pth (declares .* bytes of content, but has only|is not a file of only)"):
        read_weights(tmp_path / "weights.pth")


def test_names_and_empty_tensors_build_no_large_generator(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    empty = torch.zeros(HUGE, 0, 3, 3)
    names = [f"backbone.backward_1.main.2.{number}.conv1.weight" for number in range(1, 1000)]
    save_file({**state, **dict.fromkeys(names, torch.zeros(0))}, tmp_path / "blocks.safetensors")
    assert size_of(tmp_path / "blocks.safetensors") == GeneratorSettings(channels=16, blocks=1)
    save_file({**state, "reconstruction.main.0.weight": empty}, tmp_path / "channels.safetensors")
    with pytest.raises(TesseraError, match="contains a generator of 0 channels and 0 blocks, which is no BasicVSR"):
        load_generator(tmp_path / "channels.safetensors")
