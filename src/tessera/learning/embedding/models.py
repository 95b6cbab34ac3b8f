"""Load the models that embed pictures: of timm, in ONNX, or the backbone of a detector."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tessera.core.errors import TesseraError
from tessera.learning.architectures import in_names_of_timm, load_all, pretrained_config
from tessera.learning.detection.offline import offline
from tessera.learning.embedding.settings import EmbedderSettings
from tessera.learning.onnx import load_model, run_pictures, sides_of
from tessera.learning.preprocessing import Preprocessing
from tessera.learning.weights.tensors import read_tensors

if TYPE_CHECKING:
    import torch

IMAGE_SIZE = 640  # pixels; of ultralytics, where a checkpoint states none
CELLS = 6  # along each side of the grid of a layout
CONTRAST = 0.02  # of a channel; below it, noise would decide
RESIZE = {"center": "crop", "squash": "stretch", "border": "pad"}  # what timm calls the ways to resize


class Network(NamedTuple):
    """A loaded model. `run` takes float32 (B, 3, S, S) and returns float32 (B, D)."""

    run: Callable[[np.ndarray], np.ndarray]
    preprocessing: Preprocessing
    is_on_gpu: bool = False


def load_network(weights: Path, settings: EmbedderSettings, section: str) -> Network:
    """Return the model in the file `weights`. Raises `TesseraError` if it is not what `settings` say.

    `section`: what a user calls the settings of its input.
    """
    if settings.kind == "onnx":
        return _onnx(weights, settings, section)
    return _timm(weights, settings) if settings.kind == "timm" else _detector(weights, settings)


def _timm(weights: Path, settings: EmbedderSettings) -> Network:
    name = settings.architecture
    config = pretrained_config(name)
    import timm
    from timm.data import resolve_model_data_config

    state = in_names_of_timm(read_tensors(weights), name, weights)
    heads = config.classifier or ()
    heads = tuple(f"{head}." for head in ([heads] if isinstance(heads, str) else heads))
    classes = 0
    if settings.output == "head":
        last = state.get(f"{heads[0]}weight") if heads else None
        if last is None:
            raise TesseraError(f"{weights}: {name!r} has no head in it, which `output: head` asks for; set `output: pooled`")
        classes = len(last)
    try:
        model = timm.create_model(name, pretrained=False, num_classes=classes)
    except (RuntimeError, ValueError, KeyError) as error:
        raise TesseraError(f"timm cannot build {name!r} ({error}); choose another architecture") from error
    load_all(model, state if classes else {key: value for key, value in state.items() if not key.startswith(heads)}, weights)
    data_config: dict[str, Any] = resolve_model_data_config(model)
    preprocessing = settings.preprocessing or Preprocessing(
        size=data_config["input_size"][-1],
        resize=RESIZE[data_config["crop_mode"]],
        crop=data_config["crop_pct"] if data_config["crop_mode"] == "center" else 1.0,
        interpolation=data_config["interpolation"],
        mean=data_config["mean"],
        std=data_config["std"],
    )
    return _of_torch(model, preprocessing)


def _detector(weights: Path, settings: EmbedderSettings) -> Network:
    """Return the backbone of a detector of ultralytics, with its last feature map averaged over the picture.

    For the output `layout`, it is the first feature map. Of each channel, less its mean and relative to its contrast, the means
    over the cells of a grid are taken. They describe what is where in the picture, whatever its brightness. One more number,
    which is constant, gives pictures of one colour a direction. A detector that was trained for a minute tells more pictures
    apart by its first feature map than by its last.
    """
    offline()
    import torch
    from ultralytics.nn.tasks import load_checkpoint

    try:
        model, checkpoint = load_checkpoint(weights)
        depth = 1 if settings.output == "layout" else len(model.yaml["backbone"])
        layers = model.model[:depth]
        size = (checkpoint.get("train_args") or {}).get("imgsz", IMAGE_SIZE)
    except Exception as error:  # for files that are not checkpoints, exceptions of many types are raised
        message = " ".join(str(error).split())[:300]
        raise TesseraError(f"{weights}: not a checkpoint of a detector of ultralytics ({message}); declare another") from error

    class Backbone(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = layers

        def forward(self, x: Any) -> Any:
            outputs: list[Any] = []
            for layer in self.layers:
                if layer.f != -1:  # not from the layer before it
                    x = outputs[layer.f] if isinstance(layer.f, int) else [x if j == -1 else outputs[j] for j in layer.f]
                x = layer(x)
                outputs.append(x)
            if settings.output == "pooled":
                return x.mean(dim=(2, 3))
            deviation, mean = torch.std_mean(x, dim=(2, 3), keepdim=True)
            cells = torch.nn.functional.adaptive_avg_pool2d((x - mean) / (deviation + CONTRAST), CELLS)
            return torch.nn.functional.pad(cells.flatten(1), (0, 1), value=1.0)

    preprocessing = settings.preprocessing or Preprocessing(
        size=max(size) if isinstance(size, list | tuple) else size,
        resize="stretch",
        interpolation="bilinear",
        mean=(0, 0, 0),
        std=(1, 1, 1),
    )
    return _of_torch(Backbone(), preprocessing)


def _of_torch(model: "torch.nn.Module", preprocessing: Preprocessing) -> Network:
    import torch

    is_on_gpu = torch.cuda.is_available()
    device = "cuda" if is_on_gpu else "cpu"
    model = model.eval().float().to(device)

    def run(batch: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            vectors: np.ndarray = model(torch.from_numpy(batch).to(device)).float().cpu().numpy()
        return vectors

    return Network(run, preprocessing, is_on_gpu)


def _onnx(weights: Path, settings: EmbedderSettings, section: str) -> Network:
    # One thread, because several threads run it at a time, each with a batch of its own.
    session = load_model(weights, 1, "declare another file")
    assert settings.preprocessing is not None, "checked where the settings are read"
    inputs, outputs = session.get_inputs(), session.get_outputs()
    size = settings.preprocessing.size
    sides = sides_of(inputs)
    if len(sides) != 4 or not all(side in {None, due} for side, due in zip(sides[1:], (3, size, size), strict=True)):
        stated = ", ".join(f"{tensor.name} {tensor.type} {tensor.shape}" for tensor in inputs)
        raise TesseraError(
            f"{weights}: its inputs are {stated or 'none'}; expected is one input of 32-bit floating-point numbers"
            f" (pictures, 3, {size}, {size}); set `{section}.size`, or export the model with this input alone"
        )
    chosen = next((tensor.name for tensor in outputs if len(tensor.shape) == 2), None)
    if chosen is None:
        stated = ", ".join(f"{tensor.name} {tensor.shape}" for tensor in outputs)
        raise TesseraError(
            f"{weights}: its outputs are {stated}; expected is one of the shape (pictures, numbers); export the model with"
            " its pooled features as an output"
        )
    return Network(
        partial(run_pictures, session, chosen), settings.preprocessing, "CUDAExecutionProvider" in session.get_providers()
    )
