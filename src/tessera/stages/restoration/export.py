"""Export the trained generator, and verify that the exports give the same results.

It is not exported to TorchScript or ONNX; `UNTRACED` gives the reason.
"""

import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tessera.core.errors import Dropped, TesseraError
from tessera.core.log import tell
from tessera.core.messages import pluralize
from tessera.core.progress import progress
from tessera.learning.weights.tensors import SIZE, safetensors_bytes
from tessera.records.lada.clips import read_clips
from tessera.stages.restoration.samples import fixed_sample
from tessera.stages.restoration.settings import DataSettings, ExportSettings, GeneratorSettings

if TYPE_CHECKING:
    import torch

SIDE = 256  # pixels of the squares that Lada's application restores, padded with black
UNTRACED = (
    "The generator processes the frames one at a time, in both directions. An export by torch.jit.trace or torch.export is "
    "valid only for the number and size of the frames that it was made with: another number fails, and at another size a trace "
    "silently gives other results. torch.jit.script cannot compile the generator, and the ONNX exporter does not support the "
    "deformable convolution of torchvision."
)
LIBRARIES = ("torch", "torchvision", "mmagic", "mmengine", "safetensors")
# Lada's application restores with the moving average, but its files contain both.
PREFIXES = ("generator.", "generator_ema.")


def export_restoration(
    checkpoint: Path, safetensors: Path, application: Path, *, generator: GeneratorSettings, size: int, code: str
) -> None:
    """Write the generator in `checkpoint` to `safetensors`, and to `application`, a .pth for Lada's application.

    If the checkpoint has a moving average of the weights, that is exported. `size`: side of the squares that it was trained on,
    in pixels; videos are restored at it. `code`: digest of the code of the training. Both are written to the metadata together
    with the size of the generator. Equal weights give equal bytes.
    Raises `TesseraError` if `checkpoint` contains another architecture, or no generator.
    """
    import torch

    from tessera.stages.restoration.models import load_generator

    weights = load_generator(checkpoint, generator).state_dict()
    metadata = {"format": "pt", "architecture": "BasicVSR++", **_text({**generator.model_dump(), SIZE: size}), "code": code}
    safetensors.write_bytes(safetensors_bytes(weights, metadata))
    # To an open file: if torch opens the file itself, it writes the file name into it.
    with application.open("wb") as file:
        torch.save({f"{prefix}{name}": value for prefix in PREFIXES for name, value in weights.items()}, file)


def verify_restoration_export(
    dataset: Path,
    checkpoint: Path,
    safetensors: Path,
    application: Path,
    report: Path,
    *,
    generator: GeneratorSettings,
    data: DataSettings,
    settings: ExportSettings,
    seed: int,
) -> None:
    """Compare both exports, each loaded into a new network, with the generator in `checkpoint`, on fixed samples.

    All run on the CPU in single precision. An export that is the same network with the same weights is not run, because it
    gives the same results. `dataset` contains the folders val and train; the clips are those of val, or of train if val has
    none. `report`: JSON with the largest difference of each export, as a fraction of the range from black to
    white. Raises `TesseraError` that names each export that differs by more than `settings.tolerance`.
    """
    import torch

    from tessera.stages.restoration.models import build_generator, load_generator
    from tessera.stages.restoration.weights import load_weights

    trained = load_generator(checkpoint, generator)
    plain = build_generator(generator).eval()
    load_weights(plain, safetensors)
    exports = {safetensors.name: plain, application.name: _application(application, generator)}
    samples = [_padded(sample) for sample in _samples(dataset, data, settings, seed)]
    differences = dict.fromkeys(exports, 0.0)
    compared = {name: export for name, export in exports.items() if not _are_equal(export, trained)}
    with torch.inference_mode():
        for frames in progress(samples, unit="samples"):
            expected = trained(frames)
            for name, export in compared.items():
                largest = float((export(frames) - expected).abs().max())
                # Not `max`, which may ignore NaN.
                differences[name] = float(np.maximum(differences[name], largest))
    beyond = [f"{value:.3g} in {name}" for name, value in differences.items() if not value <= settings.tolerance]
    if beyond:
        raise TesseraError(
            f"the exports differ from {checkpoint} on {pluralize(len(samples), 'samples')}: outputs differ by"
            f" {', '.join(beyond)} (allowed: {settings.tolerance:g}); export again, or raise `restoration.export.tolerance`"
        )
    content = {
        "samples": len(samples),
        "frames": settings.frames,
        "size": list(samples[0].shape[:2:-1]),
        "differences": differences,
        "tolerance": settings.tolerance,
        "untraced": UNTRACED,
        "versions": {library: version(library) for library in LIBRARIES},
    }
    report.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _samples(dataset: Path, data: DataSettings, settings: ExportSettings, seed: int) -> list[np.ndarray]:
    """Return the mosaicked windows, uint8 (T, H, W, 3), of the first clips from which a sample can be made."""
    clips = read_clips(dataset / "val") or read_clips(dataset / "train")
    samples: list[np.ndarray] = []
    for clip in clips:
        try:
            samples.append(fixed_sample(clip, data, frames=settings.frames, seed=seed).mosaicked)
        except Dropped as error:
            tell(f"skipped {clip.key}: {error}")
        if len(samples) == settings.samples:
            break
    if not samples:
        raise TesseraError(
            f"{dataset}: none of {pluralize(len(clips), 'clips')} gives a sample of {pluralize(settings.frames, 'frames')}"
            " to compare on; lower `restoration.export.frames`"
        )
    return samples


def _padded(sample: np.ndarray) -> "torch.Tensor":
    """Return `sample` as input of a network: float32 (1, T, 3, H, W), RGB, in [0, 1], padded with black to `SIDE`."""
    import torch

    low = [max(0, SIDE - side) for side in sample.shape[1:3]]
    padded = np.pad(sample, ((0, 0), (0, low[0]), (0, low[1]), (0, 0)))
    return torch.from_numpy(padded).permute(0, 3, 1, 2)[None].float() / 255


def _application(path: Path, generator: GeneratorSettings) -> "torch.nn.Module":
    """Load the weights in `path` into the network of Lada's application, in the same way as the application.

    This is mmagic's own network, not the subclass in `models`. The application takes the weights that fit and ignores all
    others; here, missing and unexpected weights raise `TesseraError`.
    """
    from mmagic.models.data_preprocessors import DataPreprocessor
    from mmagic.models.editors import BasicVSRPlusPlusNet, RealBasicVSR
    from mmagic.models.losses import CharbonnierLoss
    from mmengine.runner import load_checkpoint

    from tessera.stages.restoration.weights import read_weights

    network = {"type": BasicVSRPlusPlusNet, "mid_channels": generator.channels, "num_blocks": generator.blocks}
    model: torch.nn.Module = RealBasicVSR(
        generator={**network, "is_low_res_input": False},
        pixel_loss={"type": CharbonnierLoss},
        is_use_ema=True,
        data_preprocessor={"type": DataPreprocessor, "mean": [0.0] * 3, "std": [255.0] * 3},
    )
    # Check for NaN first: with it, the deformable convolution would read out of bounds.
    read_weights(path)
    try:
        load_checkpoint(model, str(path), map_location="cpu", strict=True)
    except RuntimeError as error:
        raise TesseraError(f"{path} does not fit the network of Lada's application: {error}; export it again") from error
    return model.eval()


def _are_equal(first: "torch.nn.Module", other: "torch.nn.Module") -> bool:
    """Return whether both are the same network with exactly the same weights. Weights that are not finite differ."""
    import torch

    weights, others = first.state_dict(), other.state_dict()
    is_same = type(first) is type(other) and weights.keys() == others.keys()
    return is_same and all(torch.equal(value, others[name]) for name, value in weights.items())


def _text(values: dict[str, Any]) -> dict[str, str]:
    """Return `values` as text, because metadata of safetensors can only be text."""
    return {name: str(value) for name, value in values.items()}
