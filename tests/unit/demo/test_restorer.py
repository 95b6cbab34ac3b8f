"""The starter restorer is trained on clips of the pictures of its table, and measured on others."""

import io
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from starter_pictures import SPLITS, write_pictures
from tessera.core.errors import TesseraError
from tessera.demo import restorer, training
from tessera.demo.packages import Picture
from tessera.demo.restorer import train_starter_restorer
from tessera.learning.block_network import build_network, read_network
from tessera.learning.trainings import state_file


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(restorer, "build_network", partial(build_network, channels=8, layers=1))
    for module, name, value in (
        (restorer, "BATCH", 4),
        (restorer, "MEASURED", 3),
        (training, "WARM_UP", 2),
        (training, "SAVE_EVERY", 5),
    ):
        monkeypatch.setattr(module, name, value)
    yield


def train(rows: list[Picture], folder: Path, name: str, iterations: int = 8, seed: int = 1, code: str = "") -> bytes:
    run, counts = folder / f"run of {name}", {"clips": 12, "iterations": iterations, "threads": 2}
    train_starter_restorer(rows, folder, folder / name, run, **counts, seed=seed, code=code)
    assert not run.exists()
    return (folder / name).read_bytes()


def test_it_is_written_and_its_psnr_on_other_pictures_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr("tessera.core.log._terminal", terminal)
    rows = write_pictures(tmp_path, SPLITS)
    # Pictures of other kinds are not looked at: their files need not be there.
    rows.append(rows[0].model_copy(update={"kind": "pattern", "sha256": "f" * 64}))
    one = train(rows, tmp_path, "one")
    assert one == train(rows, tmp_path, "other")
    assert one != train(rows, tmp_path, "more", iterations=9)
    assert one != train(rows, tmp_path, "seed", seed=2)
    assert read_network(tmp_path / "one") is not None
    found = re.search(
        r"3 clips of pictures that it did not see: ([\d.]+) dB pixelated, ([\d.]+) dB by bicubic interpolation, ([\d.]+) dB"
        r" restored alone, ([\d.]+) dB with the frames around\n",
        terminal.getvalue(),
    )
    assert found
    pixelated, interpolated, alone, together = map(float, found.groups())
    assert 10 < pixelated < interpolated < 60 and pixelated < min(alone, together) < 60


def test_the_pictures_that_it_is_measured_on_do_not_change_it(tmp_path: Path) -> None:
    one = train(write_pictures(tmp_path, SPLITS), tmp_path, "one")
    assert one == train(write_pictures(tmp_path, {"coffee": "train", "rocket": "val"}), tmp_path, "other")


def test_an_interrupted_training_goes_on_and_ends_as_if_it_had_not_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = write_pictures(tmp_path, SPLITS)
    whole = train(rows, tmp_path, "whole")
    terminal = io.StringIO()
    monkeypatch.setattr("tessera.core.log._terminal", terminal)
    with monkeypatch.context() as context:
        batch, count = restorer._batch, iter(range(6))

        def interrupted(*arguments: object) -> object:
            if next(count) == 5:
                raise KeyboardInterrupt
            return batch(*arguments)  # type: ignore[arg-type]

        context.setattr(restorer, "_batch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(rows, tmp_path, "parts")
    assert state_file(tmp_path / "run of parts").exists() and not (tmp_path / "parts").exists()
    assert train(rows, tmp_path, "parts") == whole
    assert "resuming after iteration 5 of 8" in terminal.getvalue()


@pytest.mark.parametrize("other", [{"seed": 2}, {"iterations": 9}, {"code": "of before"}])
def test_a_state_of_another_training_is_not_gone_on_from(
    other: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = write_pictures(tmp_path, SPLITS)

    def fail(*_: object) -> None:
        raise OSError

    with monkeypatch.context() as context:
        context.setattr(restorer, "write_network", fail)
        with pytest.raises(OSError):
            train(rows, tmp_path, "other", **other)
    assert state_file(tmp_path / "run of other").exists()
    assert train(rows, tmp_path, "other") == train(rows, tmp_path, "one")


def test_a_table_without_pictures_to_learn_from_is_an_error_that_says_so(tmp_path: Path) -> None:
    for rows in ([], write_pictures(tmp_path, {"coffee": "val"})):
        with pytest.raises(TesseraError, match="no photograph and no drawing of the split train"):
            train(rows, tmp_path, "one")
