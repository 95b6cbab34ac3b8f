"""Build the networks of classifiers, and load weights into them."""

from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessera.core.errors import TesseraError
from tessera.learning.architectures import load_all, pretrained_config
from tessera.learning.classification.settings import HEAD, LAST, Description
from tessera.learning.preprocessing import Preprocessing, Resize
from tessera.learning.weights.tensors import read_tensors

if TYPE_CHECKING:
    import torch


def preparation_of(architecture: str, size: int, resize: Resize) -> Preprocessing:
    """Return how timm's `architecture` wants its pictures: its mean and standard deviation, for `size` by `size` pixels.

    `architecture`: a name, alone or with the tag of published weights. Raises `TesseraError` if timm does not know the tag.
    """
    config = pretrained_config(architecture)
    colours = {"mean": tuple(config.mean), "std": tuple(config.std)}
    return Preprocessing(size=size, resize=resize, interpolation="bilinear", **colours)


def build_network(description: Description) -> "torch.nn.Module":
    """Return the network of a classifier, for inference, with new weights, drawn from torch's global random generator.

    Its input is float32 (N, 3, size, size), normalised pictures, or (N, features), vectors. It returns logits, (N, outputs).
    Raises `TesseraError` if the architecture cannot be built for the size of its pictures.
    """
    if description.architecture == HEAD:
        return _build_head(description)
    import timm
    import torch

    assert description.preparation is not None, "pictures are prepared"
    size = description.preparation.size
    config = pretrained_config(description.architecture)
    fixed: dict[str, Any] = {"img_size": size} if config.fixed_input_size else {}
    try:
        network: torch.nn.Module = timm.create_model(
            description.architecture, pretrained=False, num_classes=description.outputs, exportable=True, **fixed
        )
        with torch.no_grad():
            # Some architectures only notice here that their pictures are too small.
            network.eval()(torch.zeros(1, 3, size, size))
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise TesseraError(
            f"{description.architecture} cannot be built for pictures of {size} by {size} pixels ({error}); its own size is"
            f" {config.input_size[-1]}, correct `image_size`"
        ) from error
    return network


def _build_head(description: Description) -> "torch.nn.Module":
    """Return the predictor of CityClassifiers, without its last function: Softmax for classes, (Tanh + 1) / 2 for a score."""
    import torch
    from torch import nn

    class Residual(nn.Module):  # type: ignore[misc, unused-ignore]
        def __init__(self, width: int) -> None:
            super().__init__()
            layers = [nn.Linear(width, width), nn.LeakyReLU(0.1), nn.Linear(width, width), nn.LeakyReLU(0.1)]
            self.long = nn.Sequential(*layers, nn.Linear(width, width))

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.long(values) + values)

    hidden = description.hidden
    assert hidden is not None and description.features is not None, "a head has a size"
    up = nn.Sequential(nn.Linear(description.features, hidden), Residual(hidden))
    down = [nn.Linear(hidden, 128), nn.Linear(128, 64), nn.Dropout(0.1), nn.LeakyReLU(), nn.Linear(64, 32)]
    network = nn.Sequential()
    network.add_module("up", up)
    network.add_module("down", nn.Sequential(*down, nn.Linear(32, description.outputs)))
    return network.eval()


def probabilities(logits: "torch.Tensor", description: Description) -> "torch.Tensor":
    """Return what `logits`, (N, outputs), mean: the probabilities of the classes, or scores from 0 to 1, (N, 1)."""
    if description.classes:
        return (logits / description.temperature).softmax(1)
    # (tanh(x) + 1) / 2, as in CityClassifiers, is the logistic function of 2x.
    return (2 * logits).sigmoid()


def normalise(pictures: "torch.Tensor", preparation: Preprocessing) -> "torch.Tensor":
    """Return RGB `pictures` in [0, 1], float32 (N, 3, H, W), as a network wants them."""
    import torch

    mean, deviation = (
        torch.tensor(colour, dtype=pictures.dtype, device=pictures.device).view(1, 3, 1, 1)
        for colour in (preparation.mean, preparation.std)
    )
    return (pictures - mean) / deviation


def as_input(values: "torch.Tensor", description: Description) -> "torch.Tensor":
    """Return prepared pictures, uint8 (N, H, W, 3), or vectors, (N, features), as input of the network, float32."""
    if description.preparation is None:
        return values.float()
    return normalise(values.permute(0, 3, 1, 2).float() / 255, description.preparation)


def load_start(network: "torch.nn.Module", path: Path) -> None:
    """Load pretrained weights into `network`, to train it further. The last layer stays as it is if it has another size.

    `path`: a checkpoint of timm or torchvision, or a classifier that was trained here.
    Raises `TesseraError` if the weights are of another architecture, not finite, or not readable without running code.
    """
    state = {name.removeprefix("module."): value for name, value in read_tensors(path).items()}
    module = import_module(type(network).__module__)
    if hasattr(module, "checkpoint_filter_fn"):
        # It may fail on weights of another architecture, and what it raises is not documented; they are refused below.
        with suppress(Exception):
            state = module.checkpoint_filter_fn(state, network)
    expected = network.state_dict()
    last = getattr(network, "default_cfg", {}).get("classifier") or LAST
    for layer in [last] if isinstance(last, str) else last:
        names = [f"{layer}.weight", f"{layer}.bias"]
        if any(name in state and state[name].shape != expected[name].shape for name in names if name in expected):
            state.update({name: expected[name] for name in names if name in expected})
    load_all(network, state, path)
