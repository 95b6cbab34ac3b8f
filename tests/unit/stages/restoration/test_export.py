"""An export computes the same as the trained model, for every way to load it, and has the same bytes each time."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.nn.modules.module import register_module_forward_hook

from restoration_clips import write_moving_clip
from tessera.core.errors import TesseraError
from tessera.learning.weights.tensors import stated_size
from tessera.stages.restoration.export import export_restoration, verify_restoration_export
from tessera.stages.restoration.models import BasicVSRPlusPlusNet, build_generator, load_generator
from tessera.stages.restoration.settings import DataSettings, ExportSettings, GeneratorSettings
from tessera.stages.restoration.weights import load_weights, read_weights

SIZE = GeneratorSettings(channels=8, blocks=1)
NAMES = ("model.safetensors", "model.pth")
DATA = DataSettings(size=64, degradations=())


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained checkpoint: weights, their average, which differs, and the rest of the state of a training."""
    path = tmp_path_factory.mktemp("trained") / "best.pth"
    torch.manual_seed(0)
    state: dict[str, Any] = {}
    for prefix in ("generator.", "generator_ema."):
        for name, value in build_generator(SIZE).state_dict().items():
            # The offsets of new weights are all 0, and would not test the convolutions that use them.
            state[f"{prefix}{name}"] = value + 0.02 * torch.randn_like(value) if "conv_offset" in name else value
    torch.save({"state_dict": {**state, "step_counter": torch.zeros(1)}}, path)
    return path


@pytest.fixture(scope="module")
def exported(checkpoint: Path) -> Path:
    export_restoration(checkpoint, *(checkpoint.parent / name for name in NAMES), generator=SIZE, size=96, code="c0de")
    return checkpoint.parent


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two validation clips, the first of which is too short, and one training clip."""
    folder = tmp_path_factory.mktemp("dataset")
    write_moving_clip(folder / "val", "a", 2)
    write_moving_clip(folder / "val", "b", 4)
    write_moving_clip(folder / "train", "c", 4)
    return folder


def verify(folder: Path, dataset: Path, **settings: Any) -> dict[str, Any]:
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    options = ExportSettings(**{"samples": 2, "frames": 3, **settings})
    files = [folder / name for name in ("best.pth", *NAMES)]
    verify_restoration_export(dataset, *files, report, generator=SIZE, data=DATA, settings=options, seed=0)
    content: dict[str, Any] = json.loads(report.read_text())
    return content


def test_the_average_is_exported_under_plain_names_with_metadata(exported: Path) -> None:
    trained = torch.load(exported / "best.pth", weights_only=True)["state_dict"]
    weights = load_file(exported / NAMES[0])
    assert weights.keys() == build_generator(SIZE).state_dict().keys()
    assert all(torch.equal(value, trained[f"generator_ema.{name}"]) for name, value in weights.items())
    with safe_open(exported / NAMES[0], "pt") as file:
        metadata = {"format": "pt", "architecture": "BasicVSR++", "channels": "8", "blocks": "1", "size": "96", "code": "c0de"}
        assert file.metadata() == metadata


@pytest.mark.parametrize(
    ("size", "stated"),
    [("96", 96), ("0", None), ("97", None), ("28", None), ("99999", None), ("-96", None), ("large", None), ("", None)],
)
def test_weights_state_the_size_that_they_were_trained_at(tmp_path: Path, size: str, stated: int | None) -> None:
    save_file({"conv_last.weight": torch.zeros(1)}, tmp_path / "weights.safetensors", {"size": size} if size else None)
    assert stated_size(tmp_path / "weights.safetensors") == stated


def test_weights_of_others_state_no_size(exported: Path) -> None:
    assert stated_size(exported / NAMES[0]) == 96
    assert stated_size(exported / NAMES[1]) is None


def test_the_file_for_the_application_has_its_names_and_stores_no_tensor_twice(exported: Path) -> None:
    state, plain = torch.load(exported / NAMES[1], weights_only=True), load_file(exported / NAMES[0])
    assert state.keys() == {f"{prefix}.{name}" for prefix in ("generator", "generator_ema") for name in plain}
    assert all(torch.equal(value, plain[name.partition(".")[2]]) for name, value in state.items())
    assert (exported / NAMES[1]).stat().st_size < 1.1 * (exported / NAMES[0]).stat().st_size


def test_equal_weights_give_equal_bytes_wherever_they_are_written(exported: Path, tmp_path: Path) -> None:
    expected = [(exported / name).read_bytes() for name in NAMES]
    for number in range(3):
        others = [tmp_path / f".{number}.partial.{name}" for name in NAMES]
        export_restoration(exported / "best.pth", *others, generator=SIZE, size=96, code="c0de")
        assert [file.read_bytes() for file in others] == expected


def test_equal_exports_are_reported_as_equal(exported: Path, dataset: Path) -> None:
    report = verify(exported, dataset)
    assert (report["samples"], report["frames"], report["size"]) == (1, 3, [256, 256])
    assert report["differences"].keys() == set(NAMES)
    assert max(report["differences"].values()) < 1e-5
    assert report["versions"]["mmagic"] == "1.2.0"


def test_each_sample_is_restored_once_by_each_network(exported: Path, dataset: Path) -> None:
    run: list[str] = []

    def note(module: torch.nn.Module, *_: Any) -> None:
        if isinstance(module, BasicVSRPlusPlusNet):
            run.append(type(module).__name__)

    hook = register_module_forward_hook(note)
    try:
        verify(exported, dataset)
    finally:
        hook.remove()
    assert sorted(run) == ["BasicVSRPlusPlusNet", "Generator"], "the safetensors have the weights of the checkpoint"


def test_without_validation_clips_training_clips_are_compared(exported: Path, dataset: Path, tmp_path: Path) -> None:
    shutil.copytree(dataset / "train", tmp_path / "train")
    (tmp_path / "val").mkdir()
    assert verify(exported, tmp_path)["samples"] == 1


def test_an_error_says_that_all_clips_are_too_short(exported: Path, dataset: Path) -> None:
    with pytest.raises(TesseraError, match=r"none of 2 clips gives a sample of 9 frames to compare on"):
        verify(exported, dataset, frames=9)


State = dict[str, torch.Tensor]


def redder(state: State) -> State:
    """Return weights that make pictures redder by a thousandth."""
    return {key: value + torch.tensor([0.001, 0, 0]) if "conv_last.bias" in key else value for key, value in state.items()}


def lost(state: State) -> State:
    return {key: value for key, value in state.items() if "generator_ema.conv_last" not in key}


def none(state: State) -> State:
    return {key: value * float("nan") for key, value in state.items()}


@pytest.mark.parametrize(
    ("name", "harm", "message"),
    [
        (NAMES[0], redder, r"on 1 sample: outputs differ by 0\.001 in model\.safetensors \(allowed: 0\.0001\)"),
        (NAMES[1], redder, r"on 1 sample: outputs differ by 0\.001 in model\.pth"),
        (NAMES[1], lost, r"(?s)model\.pth does not fit .*missing.*generator_ema\.conv_last"),
        (NAMES[1], none, r"model\.pth contains values that are not finite"),
    ],
)
def test_an_export_that_differs_is_an_error_with_the_differences(
    name: str, harm: Callable[[State], State], message: str, exported: Path, dataset: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(exported, tmp_path / "exported")
    if name == NAMES[0]:
        save_file(harm(load_file(folder / name)), folder / name)
    else:
        torch.save(harm(torch.load(folder / name, weights_only=True)), folder / name)
    with pytest.raises(TesseraError, match=message):
        verify(folder, dataset)
    assert not (folder / "report.json").exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_training_can_start_from_an_export(name: str, exported: Path) -> None:
    generator = build_generator(SIZE)
    load_weights(generator, exported / name)
    expected = read_weights(exported / "best.pth")
    assert all(torch.equal(value, expected[key]) for key, value in generator.state_dict().items())


def test_a_trace_works_only_for_the_number_and_the_size_of_frames_that_it_was_made_with(exported: Path) -> None:
    generator = load_generator(exported / "best.pth", SIZE)
    # An untrained flow is 0, which is correct at any size. This one shifts frames by a few pixels.
    for layer in generator.flow_outputs():
        for each in layer.parameters():
            torch.nn.init.normal_(each, std=0.05)
    torch.nn.init.normal_(generator.conv_last.weight)
    traced = torch.jit.trace(generator, torch.rand(1, 3, 3, 32, 32), check_trace=False)
    with torch.inference_mode():
        same, larger = torch.rand(1, 3, 3, 32, 32), torch.rand(1, 3, 3, 48, 32)
        assert torch.equal(traced(same), generator(same))
        assert (traced(larger) - generator(larger)).abs().max() > 1e-4
        with pytest.raises(RuntimeError, match="Expected 3 elements"):
            traced(torch.rand(1, 4, 3, 32, 32))
