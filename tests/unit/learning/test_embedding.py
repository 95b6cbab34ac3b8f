"""Pictures become vectors: by models of timm, in ONNX and by detectors, with their own preprocessing, always the same."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import timm
import torch
from onnx import TensorProto, helper
from PIL import Image
from safetensors.torch import save_file
from torchvision.transforms import v2

from tessera.core.errors import TesseraError
from tessera.core.provenance import sha256_file
from tessera.core.settings import load
from tessera.learning.embedding.embedder import Embedder, prepare
from tessera.learning.embedding.settings import EmbedderSettings
from tessera.learning.preprocessing import Preprocessing

SMALL: dict[str, Any] = {"size": 32, "resize": "stretch", "mean": (0, 0, 0), "std": (1, 1, 1)}


def pictures(count: int, height: int = 40, width: int = 60) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(count)]


def embedder(path: Path, **settings: Any) -> Embedder:
    weights = {"source": str(path), "sha256": sha256_file(path)}
    return Embedder(path, weights["sha256"], EmbedderSettings(weights=weights, **settings))


def timm_weights(path: Path, name: str = "test_resnet", classes: int = 5) -> tuple[Path, torch.nn.Module]:
    """Write weights of a tiny model of timm, drawn at random; return the file and the model."""
    torch.manual_seed(0)
    model = timm.create_model(name, pretrained=False, num_classes=classes).eval()
    state = model.state_dict()
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state}, path)
    return path, model


def onnx_file(path: Path, sides: list[Any], output: list[Any] | None = None, inputs: int = 1) -> Path:
    """Write an ONNX model whose output is the mean of each channel; with another `output`, only its stated shape differs."""
    names = [f"input{number}" for number in range(inputs)]
    nodes = [helper.make_node("ReduceMean", [names[0], "axes"], ["vector"], keepdims=0 if output is None else 1)]
    graph = helper.make_graph(
        nodes,
        "means",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name in names],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, output or [sides[0], 3])],
        [helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_model_of_timm_gives_the_pooled_features_of_timm_itself(suffix: str, tmp_path: Path) -> None:
    path, model = timm_weights(tmp_path / f"weights{suffix}")
    images = pictures(3)
    found = embedder(path, kind="timm", architecture="test_resnet", normalise=False).embed(images)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    batch = torch.stack([transform(Image.fromarray(image)) for image in images])
    with torch.inference_mode():
        expected = model.forward_head(model.forward_features(batch), pre_logits=True)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_head_of_a_model_is_an_output_too_and_vectors_have_length_1(tmp_path: Path) -> None:
    path = timm_weights(tmp_path / "weights.pth", classes=7)[0]
    common = {"kind": "timm", "architecture": "test_resnet", "output": "head"}
    raw = embedder(path, **common, normalise=False).embed(pictures(2))
    assert raw.shape == (2, 7)
    scaled = embedder(path, **common).embed(pictures(2))
    np.testing.assert_allclose(np.linalg.norm(scaled, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(scaled, raw / np.linalg.norm(raw, axis=1, keepdims=True), rtol=1e-5)


# Repeats, channels, stride, kernel and expansion of each stage (Tan and Le 2019). The lite model has no squeeze and excitation.
STAGES = (
    (1, 16, 1, 3, 1),
    (2, 24, 2, 3, 6),
    (2, 40, 2, 5, 6),
    (3, 80, 2, 3, 6),
    (3, 112, 1, 5, 6),
    (4, 192, 2, 5, 6),
    (1, 320, 1, 3, 6),
)


class SlowLite:
    """EfficientNet-Lite0, read from its paper, with weights that are drawn when they are first used."""

    def __init__(self) -> None:
        self.state: dict[str, torch.Tensor] = {}
        self.generator = torch.Generator().manual_seed(0)

    def tensor(self, name: str, *shape: int) -> torch.Tensor:
        if name not in self.state:
            drawn = torch.rand(shape, generator=self.generator) + 0.5
            self.state[name] = drawn if len(shape) == 1 else (drawn - 1) * (6 / drawn[0].numel()) ** 0.5
        return self.state[name]

    def convolve(
        self, x: torch.Tensor, name: str, channels: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> torch.Tensor:
        # As in TensorFlow, where what is odd of the padding is below and to the right.
        padding = []
        for side in (x.shape[3], x.shape[2]):
            total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
            padding += [total // 2, total - total // 2]
        weight = self.tensor(f"{name}.weight", channels, x.shape[1] // groups, kernel, kernel)
        return torch.nn.functional.conv2d(torch.nn.functional.pad(x, padding), weight, None, stride, 0, 1, groups)

    def normalise(self, x: torch.Tensor, name: str) -> torch.Tensor:
        parts = ("weight", "bias", "running_mean", "running_var")
        weight, bias, mean, variance = (self.tensor(f"{name}.{part}", x.shape[1])[:, None, None] for part in parts)
        self.state[f"{name}.num_batches_tracked"] = torch.tensor(0)
        return (x - mean) / (variance + 1e-3).sqrt() * weight + bias

    def features(self, x: torch.Tensor) -> torch.Tensor:
        x = self.normalise(self.convolve(x, "_conv_stem", 32, 3, 2), "_bn0").clamp(0, 6)
        number = 0
        for repeats, channels, stride, kernel, expansion in STAGES:
            for repeat in range(repeats):
                block, y, width = f"_blocks.{number}", x, x.shape[1] * expansion
                if expansion > 1:
                    y = self.normalise(self.convolve(y, f"{block}._expand_conv", width, 1), f"{block}._bn0").clamp(0, 6)
                y = self.convolve(y, f"{block}._depthwise_conv", width, kernel, 1 if repeat else stride, width)
                y = self.normalise(y, f"{block}._bn1").clamp(0, 6)
                y = self.normalise(self.convolve(y, f"{block}._project_conv", channels, 1), f"{block}._bn2")
                x = x + y if repeat else y
                number += 1
        return self.normalise(self.convolve(x, "_conv_head", 1280, 1), "_bn1").clamp(0, 6).mean((2, 3))


def test_the_lite_efficientnet_of_a_package_gives_what_its_paper_says(tmp_path: Path) -> None:
    slow, given = SlowLite(), pictures(2, 230, 300)
    settings: dict[str, Any] = {"kind": "timm", "architecture": "tf_efficientnet_lite0", "normalise": False}
    inputs = np.stack([prepare(picture, Preprocessing(crop=0.875, mean=(0.5,) * 3, std=(0.5,) * 3)) for picture in given])
    expected = slow.features(torch.from_numpy(inputs)).numpy()
    slow.state |= {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}
    torch.save(slow.state, tmp_path / "lite.pth")
    found = embedder(tmp_path / "lite.pth", **settings).embed(given)
    assert expected.std(axis=1).min() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-4)
    with pytest.raises(TesseraError, match="pads as TensorFlow does; set `architecture` to the one of timm"):
        embedder(tmp_path / "lite.pth", **settings | {"architecture": "efficientnet_lite0"})
    with pytest.raises(TesseraError, match="weights of another architecture"):
        embedder(tmp_path / "lite.pth", **settings | {"architecture": "tf_efficientnet_lite1"})


def test_a_detector_gives_the_mean_of_the_last_feature_map_of_its_backbone(weights: Path) -> None:
    found = embedder(weights, kind="detector", normalise=False).embed(pictures(2))
    from ultralytics.nn.tasks import load_checkpoint

    model, checkpoint = load_checkpoint(weights)
    size = checkpoint.get("train_args", {"imgsz": 640})["imgsz"]
    batch = torch.stack(
        [
            torch.from_numpy(np.array(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))).permute(2, 0, 1)
            for image in pictures(2)
        ]
    )
    with torch.inference_mode():
        # The function of ultralytics itself pools the same layer.
        expected = torch.stack(model._predict_once(batch / 255, embed=[len(model.yaml["backbone"]) - 1]))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * float(expected.max()))


def test_a_layout_depends_on_what_is_where_and_not_on_brightness(weights: Path) -> None:
    generator = np.random.default_rng(0)
    levels = generator.integers(0, 160, (2, 6, 8, 3), dtype=np.uint8)
    one, other = (np.array(Image.fromarray(each).resize((160, 120), Image.Resampling.BICUBIC)) for each in levels)
    brighter = (one * 1.2 + 20).astype(np.uint8)
    flat = [np.full((30, 40, 3), level, np.uint8) for level in (0, 200)]
    found = embedder(weights, kind="detector", output="layout").embed([one, brighter, other, one[:, ::-1], *flat])
    assert found.shape[1] == 36 * 16 + 1
    similar = found @ found.T
    assert similar[0, 1] > 0.95
    assert max(similar[0, 2], similar[0, 3]) < 0.7
    assert np.isfinite(similar[4:]).all(), "pictures of one colour have a direction too"


@pytest.mark.parametrize("batch", ["batch", 1])
def test_an_onnx_model_gets_pictures_as_its_settings_say(batch: Any, tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "means.onnx", [batch, 3, "height", 32])
    images = [np.full((20, 30, 3), levels, np.uint8) for levels in ((255, 0, 51), (0, 102, 0))]
    found = embedder(path, kind="onnx", normalise=False, preprocessing=SMALL).embed(images)
    np.testing.assert_allclose(found, [[1, 0, 0.2], [0, 0.4, 0]], atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(40, 61), (61, 40), (33, 200), (16, 16)])
def test_a_picture_is_scaled_and_cropped_as_in_torchvision(height: int, width: int) -> None:
    image = pictures(1, height, width)[0]
    expected = v2.Compose(
        [
            v2.Resize(40, interpolation=v2.InterpolationMode.BICUBIC),
            v2.CenterCrop(32),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize((0.4, 0.5, 0.6), (0.1, 0.2, 0.3)),
        ]
    )(Image.fromarray(image))
    found = prepare(image, Preprocessing(size=32, crop=0.8, mean=(0.4, 0.5, 0.6), std=(0.1, 0.2, 0.3)))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_padding_keeps_the_proportions_and_the_middle() -> None:
    found = prepare(np.full((20, 40, 3), 255, np.uint8), Preprocessing(**{**SMALL, "resize": "pad"}))
    assert (found[:, 8:24] == 1).all()
    np.testing.assert_allclose(found[:, [0, 7, 24, 31]], 114 / 255, rtol=1e-6)


def test_the_number_of_threads_does_not_change_a_byte(weights: Path) -> None:
    model = embedder(weights, kind="detector")
    batches = [pictures(5), pictures(3, 90, 50)]
    found = []
    for threads in (1, 3):
        with model.workers(threads) as pool:
            found.append([vectors.tobytes() for vectors in pool.map(model.embed, batches * 2)])
    assert found[0] == found[1]


def test_vectors_that_are_not_finite_are_nan_and_harm_no_other(tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "means.onnx", ["batch", 3, 32, 32])
    # The mean of one picture cannot be represented, and that of another has no direction.
    huge = {**SMALL, "mean": (-3e38, 0, 0)}
    assert np.isnan(embedder(path, kind="onnx", preprocessing=huge, normalise=False).embed(pictures(1))).any()
    black = [np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 9, np.uint8)]
    found = embedder(path, kind="onnx", preprocessing=SMALL).embed(black)
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (
            lambda path: timm_weights(path, "test_vit")[0],
            {"kind": "timm", "architecture": "test_resnet"},
            r"has weights of another architecture: \d+ tensors differ .*; declare weights of the `architecture`",
        ),
        (lambda path: timm_weights(path)[0], {"kind": "detector"}, "not a checkpoint of a detector of ultralytics"),
        (
            lambda path: timm_weights(path, classes=0)[0],
            {"kind": "timm", "architecture": "test_resnet", "output": "head"},
            "has no head in it, .*; set `output: pooled`",
        ),
        (
            lambda path: timm_weights(path, "test_vit3")[0],
            {"kind": "timm", "architecture": "test_vit3", "preprocessing": SMALL},
            r"cannot embed a batch of the shape \(1, 3, 32, 32\) .*set `preprocessing` to what the model wants",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named_with_the_fix(make: Any, settings: Any, message: str, tmp_path: Path) -> None:
    path = make(tmp_path / "weights.pt")
    with pytest.raises(TesseraError, match=message) as error:
        embedder(path, **settings).embed(pictures(1))
    assert str(path) in str(error.value)


@pytest.mark.parametrize(("batch", "fix"), [(8, "lower `batch`"), (1, "free the GPU, or run with `--resources gpu=0`")])
def test_a_gpu_without_memory_has_a_fix(batch: int, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = timm_weights(tmp_path / "w.safetensors")
    model = embedder(path, kind="timm", architecture="test_resnet", batch=batch)

    def run(*given: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB")

    monkeypatch.setattr(torch.nn.Module, "__call__", run)
    with pytest.raises(TesseraError, match=f"out of memory.*; {fix}$"):
        model.embed(pictures(1))


@pytest.mark.parametrize(
    ("sides", "output", "inputs", "message"),
    [
        (["batch", 3, 64, 64], None, 1, r"inputs are input0 tensor\(float\) \['batch', 3, 64, 64\]; expected .* 3, 32, 32\)"),
        (["batch", 32, 32, 3], None, 1, r"expected is one input"),
        (["batch", 3, 32, 32], None, 2, r"inputs are input0 .*, input1 .*; expected is one input"),
        (["batch", 3, 32, 32], ["batch", 3, 1, 1], 1, r"outputs are vector .*; expected is one of the shape \(pictures"),
    ],
)
def test_an_onnx_model_with_other_inputs_or_outputs_is_refused(
    sides: Any, output: Any, inputs: int, message: str, tmp_path: Path
) -> None:
    path = onnx_file(tmp_path / "other.onnx", sides, output, inputs)
    with pytest.raises(TesseraError, match=message):
        embedder(path, kind="onnx", preprocessing=SMALL)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "timm", "weights": "trained", "architecture": "test_vit"}, "`weights: trained` is for the kind detector"),
        (
            {"kind": "timm", "weights": {"source": "w.pth"}, "architecture": "test_resnt"},
            "timm has no architecture 'test_resnt'; did you mean 'test_resnet'",
        ),
        ({"kind": "timm", "weights": {"source": "w.pth"}}, "`architecture` is the name of a model of timm"),
        ({"kind": "onnx", "weights": {"source": "w.pth"}}, "the kind onnx needs a file `.onnx`"),
        ({"kind": "onnx", "weights": {"source": "w.onnx"}}, "an ONNX model states no preprocessing; set `preprocessing`"),
        ({"kind": "detector", "weights": {"source": "w.onnx"}}, "no other kind takes one"),
        ({"kind": "detector", "weights": None}, "an embedding needs `weights`"),
        ({"kind": "onnx", "weights": {"source": "w.onnx"}, "output": "layout"}, "`output: layout` is not for the kind onnx"),
    ],
)
def test_settings_that_contradict_each_other_are_named(settings: dict[str, Any], message: str) -> None:
    if isinstance(settings["weights"], dict):
        settings = {**settings, "weights": {**settings["weights"], "sha256": "0123456789abcdef" * 4}}
    with pytest.raises(TesseraError, match=message):
        load(EmbedderSettings, settings, "the settings")
