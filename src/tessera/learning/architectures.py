"""The architectures of timm: their names, the pictures that they take, and whether weights fit them."""

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessera.core.errors import TesseraError
from tessera.core.messages import truncate

if TYPE_CHECKING:
    import torch

SHOWN = 3  # tensors that a message names


@cache
def architectures() -> frozenset[str]:
    """Return the names of the architectures of timm, without tags."""
    # Not imported: an import takes seconds, and this runs whenever the workflow is planned.
    spec = find_spec("timm")
    assert spec is not None and spec.origin is not None, "timm is not installed"
    texts = [file.read_text(encoding="utf-8") for file in (Path(spec.origin).parent / "models").glob("*.py")]
    return frozenset(name for text in texts for name in re.findall(r"^@register_model\ndef (\w+)\(", text, re.MULTILINE))


def architecture_fault(name: str) -> str:
    """Return why timm cannot build the architecture `name`, which may have a tag after a dot; empty if it can."""
    base = name.partition(".")[0]
    if base in architectures():
        return ""
    near = get_close_matches(base, architectures(), n=1)
    hint = f"did you mean {near[0]!r}?" if near else "`timm.list_models()` lists them"
    return f"timm has no architecture {name!r}; {hint}"


def pretrained_config(architecture: str) -> Any:
    """Return what timm knows of the weights that were published for `architecture`, such as its `mean` and its `classifier`.

    `architecture`: a name, alone or with the tag of published weights, such as `resnet18.a1_in1k`. Raises `TesseraError` if
    timm does not know the tag.
    """
    # timm loads no weights here, but imports a library that would ask the network.
    os.environ["HF_HUB_OFFLINE"] = "1"
    import timm

    try:
        return timm.get_pretrained_cfg(architecture, allow_unregistered=False)
    except RuntimeError:
        raise TesseraError(
            f"timm knows no architecture {architecture!r}; correct `architecture`, or leave the tag after the dot out"
        ) from None


def in_names_of_timm(state: "dict[str, torch.Tensor]", architecture: str, path: Path) -> "dict[str, torch.Tensor]":
    """Return the weights `state` of the file `path` by the names that timm gives the tensors of `architecture`.

    The models of EfficientNet-PyTorch have the same tensors in the same order, by other names. Others are returned as they are.
    Raises `TesseraError` if the `architecture` pads its pictures in another way than these models do, which shapes do not show.
    """
    if "_conv_stem.weight" not in state:
        return state
    import timm

    if not architecture.startswith("tf_efficientnet"):
        raise TesseraError(
            f"{path} has weights of EfficientNet-PyTorch, which pads as TensorFlow does; set `architecture` to the one of timm"
            " that begins with tf_efficientnet, such as tf_efficientnet_lite0"
        )
    names = timm.create_model(architecture, pretrained=False, num_classes=len(state.get("_fc.weight", ()))).state_dict()
    return dict(zip(names, state.values(), strict=False)) if len(names) == len(state) else state


def load_all(network: "torch.nn.Module", state: "Mapping[str, torch.Tensor]", path: Path) -> None:
    """Load the weights `state` of the file `path` into `network`.

    Raises `TesseraError` that names the differences if they are of another architecture, or values that are not finite.
    """
    shapes: list[dict[str, Any]] = [
        {name: tuple(value.shape) for name, value in tensors.items()} for tensors in (state, network.state_dict())
    ]
    # Counts of batches, which some files leave out; nothing reads them.
    loaded, expected = (
        {name: shape for name, shape in tensors.items() if "num_batches_tracked" not in name} for tensors in shapes
    )
    if different := sorted({name for name, _ in loaded.items() ^ expected.items()}):
        listed = ", ".join(
            truncate([f"{name} {loaded.get(name, 'none')}, not {expected.get(name, 'none')}" for name in different], SHOWN)
        )
        raise TesseraError(
            f"{path} has weights of another architecture: {len(different)} tensors differ ({listed}); declare weights of the"
            " `architecture`, or change it to theirs"
        )
    if broken := [name for name, value in state.items() if not value.isfinite().all()]:
        raise TesseraError(f"{path} has values that are not finite, in {broken[0]!r}; declare other weights, or copy it again")
    network.load_state_dict(dict(state), strict=False)
