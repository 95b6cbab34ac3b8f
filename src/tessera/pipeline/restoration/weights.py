"""Weights of a generator, from any of the layouts that they come in."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tessera.core.errors import TesseraError

if TYPE_CHECKING:
    import torch

# Where a generator stands in a checkpoint: its moving average, else itself; in a file of nothing else, at the top.
PREFIXES = ("generator_ema.", "generator.", "")


def read_weights(path: Path) -> "dict[str, torch.Tensor]":
    """Return the weights of the generator in `path`, by the names that they have in a generator by itself; float32, on the CPU.

    `path`: a .safetensors, or a checkpoint of torch: of ours, of Lada's, or of mmagic. Where it holds the moving average of the
    weights and the weights themselves, the average is taken; discriminators and the like are left out.
    Raises `TesseraError` where it cannot be read without running code in it, holds no generator, or numbers that are none.
    """
    state = read_tensors(path)
    prefix = next((prefix for prefix in PREFIXES if f"{prefix}conv_last.weight" in state), None)
    if prefix is None:
        raise TesseraError(f"{path} holds no generator of BasicVSR++; give weights of one, of Lada's application or of ours")
    weights = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    broken = [name for name, value in weights.items() if not value.isfinite().all()]
    if broken:
        raise TesseraError(
            f"{path} holds numbers that are none, in {broken[0]!r}; take an earlier checkpoint, or copy it again"
        )
    return weights


def load_weights(generator: "torch.nn.Module", path: Path) -> None:
    """Give `generator` the weights in `path`; see `read_weights`.

    Raises `TesseraError` where they are those of another architecture, with how the two differ.
    """
    weights, wanted = read_weights(path), generator.state_dict()
    shapes = [{name: tuple(value.shape) for name, value in each.items()} for each in (weights, wanted)]
    if shapes[0] != shapes[1]:
        different = sorted({name for name, _ in shapes[0].items() ^ shapes[1].items()})
        raise TesseraError(
            f"{path} holds a generator of {_size(weights)}, wanted is one of {_size(wanted)} ({len(different)} weights differ, "
            f"{different[0]!r} first); give weights of that size, or set `restoration.generator` to theirs"
        )
    generator.load_state_dict(weights)


def read_tensors(path: Path) -> "dict[str, torch.Tensor]":
    """Return the tensors in `path` by name."""
    import torch
    from safetensors.torch import load_file

    with path.open("rb") as file:
        # A header in JSON follows its length; a checkpoint is a zip file, or a pickle.
        is_safetensors = file.read(9)[8:] == b"{"
    try:
        state = load_file(path) if is_safetensors else torch.load(path, map_location="cpu", weights_only=True)
        state = state.get("state_dict", state)
        return {name: value.float() for name, value in state.items() if isinstance(value, torch.Tensor)}
    except (MemoryError, OSError):
        raise
    except Exception as error:  # what can be wrong in a file is nowhere stated
        raise TesseraError(
            f"{path} is no file of weights alone ({_reason(error)}); copy it again, or, where it is a checkpoint of a training "
            "that you trust, save its `state_dict` by itself"
        ) from error


def _reason(error: Exception) -> str:
    """Return the first sentence of what torch or safetensors says, without torch's advice to run the code in it."""
    message = str(error).split("WeightsUnpickler error: ")[-1].strip()
    return message.split("\n")[0].split(". ")[0] or type(error).__name__


def _size(weights: "Mapping[str, torch.Tensor]") -> str:
    """Return the size of a generator as the settings name it."""
    shape = weights["reconstruction.main.0.weight"].shape if "reconstruction.main.0.weight" in weights else ()
    blocks = sum(name.startswith("backbone.backward_1.main.2.") and name.endswith(".conv1.weight") for name in weights)
    return f"{next(iter(shape), 0)} channels and {blocks} blocks"
