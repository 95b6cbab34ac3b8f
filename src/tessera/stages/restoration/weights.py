"""Load the weights of a generator from files of any known layout."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tessera.core.errors import TesseraError
from tessera.learning.weights.tensors import read_tensors
from tessera.stages.restoration.settings import GeneratorSettings

if TYPE_CHECKING:
    import torch

# Prefixes of a generator in a checkpoint: its moving average, its own weights, or none in a file of only the generator.
PREFIXES = ("generator_ema.", "generator.", "")


def read_weights(path: Path) -> "dict[str, torch.Tensor]":
    """Return the weights of the generator in `path`, by their names in the generator; float32, on the CPU.

    `path`: a .safetensors, or a torch checkpoint of Tessera, Lada or mmagic. If it contains both the weights and their moving
    average, the average is returned. Other networks, such as a discriminator, are left out.
    Raises `TesseraError` if the file cannot be read without running code in it, contains no generator, or contains values that
    are not finite.
    """
    state = read_tensors(path)
    prefix = next((prefix for prefix in PREFIXES if f"{prefix}conv_last.weight" in state), None)
    if prefix is None:
        raise TesseraError(f"{path} contains no BasicVSR++ generator; use weights of Tessera or of Lada's application")
    weights = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    broken = [name for name, value in weights.items() if not value.isfinite().all()]
    if broken:
        raise TesseraError(
            f"{path} contains values that are not finite, in {broken[0]!r}; use an earlier checkpoint, or copy the file again"
        )
    return weights


def load_weights(generator: "torch.nn.Module", path: Path) -> None:
    """Load the weights in `path` into `generator`; see `read_weights`.

    Raises `TesseraError` that names the differences if the weights are of another architecture.
    """
    weights, wanted = read_weights(path), generator.state_dict()
    shapes = [{name: tuple(value.shape) for name, value in each.items()} for each in (weights, wanted)]
    if shapes[0] != shapes[1]:
        different = sorted({name for name, _ in shapes[0].items() ^ shapes[1].items()})
        fix = (
            "use weights of that size, or change `restoration.generator` to theirs"
            if _size(weights) != _size(wanted)
            else "it is of another architecture; use weights of Tessera or of Lada's application"
        )
        raise TesseraError(
            f"{path} contains a generator of {_size(weights)}, expected is one of {_size(wanted)} ({len(different)} weights "
            f"differ, {different[0]!r} first); {fix}"
        )
    generator.load_state_dict(weights)


def size_of(path: Path) -> GeneratorSettings:
    """Return the size of the generator in `path`; see `read_weights`. Raises `TesseraError` if BasicVSR++ has no such size."""
    weights = read_weights(path)
    channels, blocks = _counts(weights)
    try:
        return GeneratorSettings(channels=channels, blocks=blocks)
    except ValueError:
        raise TesseraError(
            f"{path} contains a generator of {_size(weights)}, which is no BasicVSR++; use weights of Tessera or of Lada's"
            " application"
        ) from None


def _size(weights: "Mapping[str, torch.Tensor]") -> str:
    """Return the size of a generator in the terms of the settings."""
    channels, blocks = _counts(weights)
    return f"{channels} channels and {blocks} blocks"


def _counts(weights: "Mapping[str, torch.Tensor]") -> tuple[int, int]:
    """Return the numbers of channels and of blocks.

    Only tensors of the right shape count: names and empty tensors cost a file nothing, and the network that is built is as
    large as these numbers say.
    """
    first = weights.get("reconstruction.main.0.weight")
    channels = len(first) if first is not None and first.ndim == 4 and tuple(first.shape[1:]) == (5 * len(first), 3, 3) else 0
    blocks = sum(
        name.startswith("backbone.backward_1.main.2.")
        and name.endswith(".conv1.weight")
        and tuple(value.shape) == (channels, channels, 3, 3)
        for name, value in weights.items()
    )
    return channels, blocks
