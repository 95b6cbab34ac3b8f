"""The optical flow of the starter models is trained on pairs of their pictures, and is one that generators load."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

from starter_pictures import SPLITS, write_pictures
from tessera.core.errors import TesseraError
from tessera.demo import flow, training
from tessera.demo.flow import estimate, train_starter_flow
from tessera.demo.flow_pairs import make_flow_pair
from tessera.demo.packages import Picture
from tessera.learning.trainings import state_file
from tessera.learning.weights.tensors import read_tensors
from tessera.stages.restoration.models import build_flow, build_generator
from tessera.stages.restoration.settings import GeneratorSettings


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for module, name, value in (
        (flow, "LEVELS", {3: (4, 2), 4: (3, 2), 5: (2, 2)}),
        (flow, "MEASURED", 3),
        (training, "WARM_UP", 2),
        (training, "SAVE_EVERY", 2),
    ):
        monkeypatch.setattr(module, name, value)
    yield


def train(rows: list[Picture], folder: Path, name: str, seed: int = 1, code: str = "") -> bytes:
    run = folder / f"run of {name}"
    train_starter_flow(build_flow, rows, folder, folder / name, run, pairs=6, seed=seed, threads=2, code=code)
    assert not run.exists()
    return (folder / name).read_bytes()


def test_it_is_written_for_generators_and_its_error_on_other_pictures_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr("tessera.core.log._terminal", terminal)
    rows = write_pictures(tmp_path, SPLITS)
    one = train(rows, tmp_path, "one")
    assert one == train(rows, tmp_path, "other")
    assert one != train(rows, tmp_path, "seed", seed=2)
    wanted = build_generator(GeneratorSettings(channels=8, blocks=1)).spynet.state_dict()
    tensors = read_tensors(tmp_path / "one")
    assert {*tensors, "mean", "std"} == wanted.keys()
    assert all(tensor.shape == wanted[name].shape and tensor.isfinite().all() for name, tensor in tensors.items())
    found = re.search(
        r"3 pairs of pictures that it did not see: a mean error of ([\d.]+) pixels; ([\d.]+) without a flow\n",
        terminal.getvalue(),
    )
    assert found and 0 < float(found[1]) < 20 and 0 < float(found[2]) < 20


def test_an_interrupted_training_goes_on_and_ends_as_if_it_had_not_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = write_pictures(tmp_path, SPLITS)
    whole = train(rows, tmp_path, "whole")
    batch, count = flow._batch, iter(range(9))

    def interrupted(*arguments: object) -> object:
        if next(count) in {3, 7}:
            raise KeyboardInterrupt
        return batch(*arguments)  # type: ignore[arg-type]

    terminal = io.StringIO()
    monkeypatch.setattr("tessera.core.log._terminal", terminal)
    monkeypatch.setattr(flow, "_batch", interrupted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train(rows, tmp_path, "parts")
        assert state_file(tmp_path / "run of parts" / "level 3").exists() and not (tmp_path / "parts").exists()
    monkeypatch.setattr(flow, "_batch", batch)
    assert train(rows, tmp_path, "parts") == whole
    # Otherwise it would have begun anew, with the same result.
    assert [f"resuming after iteration {done} of 4" in terminal.getvalue() for done in (2, 4)] == [True, True]


def test_a_table_without_pictures_to_learn_from_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match="no photograph and no drawing of the split train"):
        train(write_pictures(tmp_path, {"coffee": "val"}), tmp_path, "one")


def test_a_level_is_trained_on_what_mmagic_makes_of_it() -> None:
    torch.manual_seed(1)
    network = build_flow()
    frames = torch.rand(2, 2, 3, 64, 96)
    expected = network.compute_flow(frames[:, 0], frames[:, 1])  # type: ignore[operator]
    found = estimate(network, frames, 5)
    assert torch.allclose(found, expected, atol=1e-5) and found.requires_grad
    found.sum().backward()
    learning = {name for name, each in network.named_parameters() if each.grad is not None}
    assert learning and all(name.startswith("basic_module.5.") for name in learning)


@pytest.mark.parametrize("seed", range(12))
def test_pairs_that_are_mirrored_and_turned_have_the_flow_of_what_they_show(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Followed along its flow, the second frame is closer to the first than as it is."""
    monkeypatch.setattr("tessera.demo.flow_pairs.MOSAICKED", 0.0)
    monkeypatch.setattr("tessera.demo.flow_pairs.SPEEDS", (16.0, 17.0))
    from mmagic.models.utils import flow_warp

    pair = make_flow_pair([data.astronaut()], np.random.default_rng(4))
    frames, known = flow._batch([pair], 1, np.random.default_rng(seed))
    warped = flow_warp(frames[:, 1], known.permute(0, 2, 3, 1))
    inner = slice(12, -12), slice(12, -12)
    apart, still = ((each - frames[:, 0])[..., *inner].abs().mean() for each in (warped, frames[:, 1]))
    assert apart < still / 3
