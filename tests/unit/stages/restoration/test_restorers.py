"""The evaluation with real generators and LPIPS."""

import json
import socket
from pathlib import Path

import lpips
import numpy as np
import pytest
import skimage.data
import torch
import torchvision
from safetensors.torch import load_file, save_file

from restoration_clips import write_clip, write_moving_clip
from tessera.core.errors import TesseraError
from tessera.imaging.mosaic.blocks import Mosaic, pixelate
from tessera.learning.block_network import read_network
from tessera.learning.weights.known import RESTORER_STARTER, known_weights, local_file
from tessera.learning.weights.tensors import read_metadata
from tessera.stages.restoration.blocks import restore_mosaic
from tessera.stages.restoration.evaluate import check_restorers, evaluate_restoration, perceptual_distance, restore
from tessera.stages.restoration.models import build_generator
from tessera.stages.restoration.settings import DataSettings, GeneratorSettings, MetricsSettings

SMALL = GeneratorSettings(channels=8, blocks=1)


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("something asks the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="module")
def alexnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of an untrained AlexNet, in the layout of torchvision."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "alexnet.pth"
    features = torchvision.models.alexnet(weights=None).features.state_dict()
    torch.save({f"features.{name}": value for name, value in features.items()}, path)
    return path


@pytest.fixture(scope="module")
def starter() -> Path:
    return local_file(known_weights()[RESTORER_STARTER].source)


def test_a_generator_is_measured_with_all_requested_metrics(alexnet: Path, tmp_path: Path) -> None:
    dataset = tmp_path / "dataset"
    for split in ("val", "test"):
        write_moving_clip(dataset / split, f"{split}-clip", 8)
    torch.manual_seed(0)
    generator = build_generator(SMALL)
    torch.save({f"generator.{name}": value for name, value in generator.state_dict().items()}, tmp_path / "best.pth")
    # Another model, of another size and in another layout.
    other = build_generator(GeneratorSettings(channels=16, blocks=2))
    save_file(other.state_dict(), tmp_path / "other.safetensors")
    files = [tmp_path / name for name in ("metrics.json", "frames.parquet", "ledger.jsonl", "pictures", "speed.json")]
    settings = {"generator": SMALL, "data": DataSettings(size=64), "settings": MetricsSettings(frames=4, pictures=1)}
    folders = {split: dataset / split for split in ("val", "test")}
    models = tmp_path / "best.pth", {"other": tmp_path / "other.safetensors"}
    sources = {"val-clip": "a", "test-clip": "b"}
    evaluate_restoration(folders, *models, *files, **settings, sources=sources, lpips=alexnet, seed=0, threads=2)
    content = json.loads(files[0].read_text())
    assert json.loads(files[4].read_text())["milliseconds"].keys() == {"val", "test"}
    counts = {name: each["parameters"] for name, each in content["models"].items()}
    # The mean and the deviation of colours that the optical flow expects are no parameters.
    assert counts == {
        name: sum(value.numel() for name, value in each.state_dict().items() if name not in {"spynet.mean", "spynet.std"})
        for name, each in (("restored", generator), ("other", other))
    }
    for split, found in content["splits"].items():
        assert found["samples"]["ok"] == found["all"]["samples"] == 1
        for area in ("region", "frame"):
            assert list(found["all"][area]) == ["mosaicked", "bicubic", "temporal_median", "restored", "other"]
            for values in found["all"][area].values():
                assert list(values) == ["psnr", "ssim", "lpips"]
        kinds = {path.name.partition("clip.")[2] for path in (files[3] / split).iterdir()}
        assert kinds == {"png", "mask.png", "mp4"}
    # An untrained generator adds almost nothing to its input.
    means = found["all"]["frame"]
    assert abs(means["restored"]["psnr"] - means["mosaicked"]["psnr"]) < 6


def test_compared_weights_of_another_architecture_are_named(alexnet: Path, tmp_path: Path) -> None:
    torch.save(build_generator(SMALL).state_dict(), tmp_path / "best.pth")
    files = [tmp_path / name for name in ("metrics.json", "frames.parquet", "ledger.jsonl", "pictures", "speed.json")]
    settings = {"generator": SMALL, "data": DataSettings(), "settings": MetricsSettings(), "sources": {}, "lpips": None}
    fault = r"'theirs' in `comparisons\.mosaic_restoration`: .*alexnet\.pth contains no BasicVSR\+\+ generator; use weights of"
    with pytest.raises(TesseraError, match=fault):
        evaluate_restoration({}, tmp_path / "best.pth", {"theirs": alexnet}, *files, **settings, seed=0, threads=1)


def test_compared_weights_are_checked_before_anything_is_measured(alexnet: Path, starter: Path, tmp_path: Path) -> None:
    generator = build_generator(SMALL)
    torch.save(generator.state_dict(), tmp_path / "good.pth")
    check_restorers({"good": tmp_path / "good.pth"}, tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text()) == {"good": sum(p.numel() for p in generator.parameters())}
    huge = {name: value * 1e30 if value.is_floating_point() else value for name, value in generator.state_dict().items()}
    torch.save(huge, tmp_path / "huge.pth")
    torch.save({"model": torch.nn.Linear(1, 1), "made by": "ultralytics"}, tmp_path / "detector.pt")
    tensors = load_file(starter)
    del tensors["first.bias"]
    save_file(tensors, tmp_path / "damaged.safetensors", read_metadata(starter))
    for file, fault in {
        alexnet: r"contains no BasicVSR\+\+ generator",
        tmp_path / "damaged.safetensors": "is no block network of this version of Tessera",
        tmp_path / "huge.pth": "the output of the model is not finite",
        tmp_path / "detector.pt": "is a detector, and a restoration model is needed here",
    }.items():
        with pytest.raises(TesseraError, match=rf"^'theirs' in `comparisons\.mosaic_restoration`: .*{fault}"):
            check_restorers({"good": tmp_path / "good.pth", "theirs": file}, tmp_path / "report.json")


def film(count: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a clip with a mosaic of blocks of 8 pixels behind which a photograph moves, the clip without it, and its masks."""
    photo = skimage.data.coffee()
    clean = np.stack([photo[60 + n : 188 + n, 120 + 2 * n : 248 + 2 * n] for n in range(count)])
    masks = np.zeros(clean.shape[:3], np.uint8)
    masks[:, 16:112, 24:104] = 255
    masks[5] = 0  # not found there
    mosaic = Mosaic("squa_avg", 8, 8)
    return np.stack([pixelate(*each, mosaic) for each in zip(clean, masks, strict=True)]), clean, masks


def test_the_starter_restorer_restores_the_mosaic_of_a_clip_and_nothing_beyond(starter: Path) -> None:
    mosaicked, clean, masks = film()
    network = read_network(starter)
    assert network
    found = restore_mosaic(network, mosaicked, masks)
    assert found.shape == mosaicked.shape and found.dtype == np.uint8
    inside = masks > 0
    errors = [np.mean((each[inside].astype(float) - clean[inside]) ** 2) for each in (mosaicked, found)]
    assert errors[1] < 0.6 * errors[0]
    assert np.array_equal(found[~inside], mosaicked[~inside])
    assert np.array_equal(restore_mosaic(network, clean, np.zeros_like(masks)), clean)


def test_without_a_clear_grid_a_clip_stays_as_it_is(starter: Path) -> None:
    network, (_, clean, masks) = read_network(starter), film()
    assert network
    assert np.array_equal(restore_mosaic(network, clean, masks), clean)


def test_the_starter_restorer_can_be_compared_with(starter: Path, tmp_path: Path) -> None:
    _, clean, masks = film(8)
    write_clip(tmp_path / "val", "film", clean, masks, [(0, 0, 128, 128)] * len(clean))
    torch.save(build_generator(SMALL).state_dict(), tmp_path / "best.pth")
    compared = {"starter": starter}
    check_restorers(compared, tmp_path / "report.json")
    files = [tmp_path / name for name in ("metrics.json", "frames.parquet", "ledger.jsonl", "pictures", "speed.json")]
    data = DataSettings(size=128, degradations=(), mosaics={"types": {"squa_mid": 0, "squa_avg": 1, "rect_avg": 0}})
    settings = {"generator": SMALL, "data": data, "settings": MetricsSettings(frames=4, pictures=1)}
    folders = {"val": tmp_path / "val"}
    evaluate_restoration(
        folders, tmp_path / "best.pth", compared, *files, **settings, sources={"film": "a"}, lpips=None, seed=0, threads=1
    )
    content = json.loads(files[0].read_text())
    parameters = json.loads((tmp_path / "report.json").read_text())["starter"]
    assert content["models"]["starter"] == {"parameters": parameters} and parameters > 1_000_000
    means = {name: values["psnr"] for name, values in content["splits"]["val"]["all"]["region"].items()}
    assert means["starter"] > max(means["mosaicked"], means["bicubic"], means["temporal_median"]) + 0.5


def test_a_clip_is_restored_exactly_as_by_the_generator() -> None:
    torch.manual_seed(0)
    generator = build_generator(SMALL).eval()
    clip = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    with torch.inference_mode():
        expected = generator(torch.from_numpy(clip.astype(np.float32).transpose(0, 3, 1, 2))[None] / 255)[0]
    found = restore(generator, clip).astype(np.float32)
    assert np.abs(found - np.clip(expected.numpy().transpose(0, 2, 3, 1) * 255, 0, 255)).max() <= 0.501


@pytest.mark.parametrize("size", [(64, 64), (101, 67), (9, 40)])
def test_lpips_equals_that_of_the_package_with_the_declared_weights(alexnet: Path, size: tuple[int, int]) -> None:
    image, clean = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    distance = perceptual_distance(alexnet)
    found = distance(image, clean)
    assert found.shape == size and (distance(clean, clean) == 0).all() and found.mean() > 0
    if min(size) >= 64:
        theirs = lpips.LPIPS(net="alex", pnet_rand=True, spatial=True, verbose=False)
        state = torch.load(alexnet)
        for number in range(1, 6):
            part = getattr(theirs.net, f"slice{number}")
            part.load_state_dict({name: state[f"features.{name}"] for name in part.state_dict()})
        levels = [torch.from_numpy(each.transpose(2, 0, 1).astype(np.float32))[None] / 255 for each in (image, clean)]
        with torch.inference_mode():
            expected = theirs(*levels, normalize=True)[0, 0].numpy()
        assert np.allclose(found, expected, atol=1e-5)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(3, 3)}, tmp_path / "other.pth")
    (tmp_path / "broken.pth").write_bytes(b"no checkpoint")
    torch.save({"features.0.weight": print}, tmp_path / "code.pth")
    for name in ("other", "broken", "code"):
        with pytest.raises(TesseraError, match=rf"{name}\.pth: not the weights of AlexNet"):
            perceptual_distance(tmp_path / f"{name}.pth")
