"""A network that tells what is inside the blocks of a mosaic from their means, in a frame and in those around it.

Where something moves behind the grid, each frame shows other means of it. Between neighbouring frames, that is mostly less than
a block. So the network gets the means of all of these frames at once, and needs no optical flow: it is a convolutional network
at one pixel a block, as for super-resolution of video (Shi et al. 2016, ESPCN; Caballero et al. 2017, VESPCN; residual layers
without normalisation after Lim et al. 2017, EDSR).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tessera.core.errors import TesseraError
from tessera.imaging.mosaic.means import SIDE
from tessera.learning.weights.tensors import read_metadata, read_tensors, safetensors_bytes

if TYPE_CHECKING:
    import torch

ARCHITECTURE = "block network"  # in the metadata of a safetensors
# The frames that are looked at, relative to the one that is restored: near ones for what moves fast, far ones for what is slow.
OFFSETS = -8, -4, -2, -1, 0, 1, 2, 4, 8
CHANNELS = 96
LAYERS = 8  # pairs of convolutions
GAIN = 4  # on the way into the network, and against it on the way out


def build_network(channels: int = CHANNELS, layers: int = LAYERS) -> "torch.nn.Module":
    """Return a network that restores the middle one of the frames in `OFFSETS`, with new weights.

    They are drawn from torch's global random generator. It gets means of blocks, (N, T, 3, h, w), RGB, from 0 to 1, and returns
    pictures that have these means: float32 (N, 3, h * `SIDE`, w * `SIDE`).
    """
    import torch
    import torch.nn.functional as F
    from torch import Tensor, nn

    class Layer(nn.Module):
        """Two convolutions, whose result is added to their input."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Conv2d(channels, channels, 3, padding=1)
            self.outer = nn.Conv2d(channels, channels, 3, padding=1)
            for parameter in self.outer.parameters():
                nn.init.zeros_(parameter)

        def forward(self, features: Tensor) -> Tensor:
            added: Tensor = self.outer(F.relu(self.inner(features)))
            return features + added

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(len(OFFSETS) * 3, channels, 3, padding=1, padding_mode="replicate")
            self.layers = nn.ModuleList(Layer() for _ in range(layers))
            self.last = nn.Conv2d(channels, 3 * SIDE**2, 3, padding=1)
            # What is not learned yet changes little.
            for parameter in self.last.parameters():
                nn.init.normal_(parameter, std=1e-3)

        def forward(self, means: Tensor) -> Tensor:
            count, _, _, height, width = means.shape
            middle = means[:, len(OFFSETS) // 2]
            features = ((means - 0.5) * GAIN).reshape(count, -1, height, width).contiguous(memory_format=torch.channels_last)
            features = F.relu(self.first(features))
            for layer in self.layers:
                features = layer(features)
            details = F.pixel_shuffle(self.last(features).float() / GAIN, SIDE) + interpolated(middle)
            return details + F.interpolate(middle - F.avg_pool2d(details, SIDE), scale_factor=SIDE)

    def interpolated(means: Tensor) -> Tensor:
        """Return `means`, (N, 3, h, w), interpolated bilinearly to `SIDE` by `SIDE` pixels each."""
        wide = F.interpolate(F.pad(means, (1, 1, 1, 1), "replicate"), scale_factor=SIDE, mode="bilinear", align_corners=False)
        return wide[:, :, SIDE:-SIDE, SIDE:-SIDE]

    return Network()


@dataclass(frozen=True, eq=False)
class BlockNetwork:
    """Restores the blocks of mosaics with a network; see `build_network`."""

    module: "torch.nn.Module"

    def picture(self, means: np.ndarray, number: int) -> np.ndarray:
        """Return the picture of frame `number` of `means`, float32 (T, h, w, 3), RGB, in levels, those of blocks in a video.

        Float32 (h * `SIDE`, w * `SIDE`, 3). The first and the last frame count as if they went on.
        """
        return self.restored(means[[min(max(number + offset, 0), len(means) - 1) for offset in OFFSETS]])

    def restored(self, means: np.ndarray) -> np.ndarray:
        """Return the picture of the middle one of the frames in `OFFSETS`, which have `means`; see `picture`."""
        import torch

        with torch.inference_mode():
            shown = torch.from_numpy(means).to(next(self.module.parameters()).device).permute(0, 3, 1, 2)[None]
            picture = self.module(shown / 255)[0] * 255
            return np.ascontiguousarray(picture.permute(1, 2, 0).cpu().numpy())


def write_network(network: BlockNetwork, path: Path) -> None:
    """Write `network` to the safetensors `path`, in half precision. Equal ones give equal bytes."""
    tensors = {name: tensor.half().contiguous() for name, tensor in network.module.state_dict().items()}
    path.write_bytes(safetensors_bytes(tensors, {"format": "pt", "architecture": ARCHITECTURE}))


def read_network(path: Path) -> BlockNetwork | None:
    """Return the network in `path`, on the GPU if there is one, or None if it is a file of another kind.

    Raises `TesseraError` if the file is damaged.
    """
    import torch

    if read_metadata(path).get("architecture") != ARCHITECTURE:
        return None
    tensors = read_tensors(path)
    try:
        with torch.device("meta"):
            module = build_network(len(tensors["first.weight"]), sum(name.endswith(".inner.weight") for name in tensors))
        module.load_state_dict(tensors, assign=True)
        if not all(tensor.isfinite().all() for tensor in tensors.values()):
            raise ValueError("numbers that are not finite")
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise TesseraError(f"{path} is no block network of this version of Tessera; use the one that comes with it") from error
    module.requires_grad_(False).eval().to("cuda" if torch.cuda.is_available() else "cpu")
    return BlockNetwork(module.to(memory_format=torch.channels_last))
