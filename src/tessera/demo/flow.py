"""Train the optical flow that comes with Tessera: SPyNet, on frames of mosaics whose motion is known.

SPyNet (Ranjan and Black, Optical flow estimation using a spatial pyramid network, 2017) finds the motion in small frames first.
Each level corrects what the level before it found, in frames of twice the size, and is trained after it, as there.
"""

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tessera.core.log import tell
from tessera.core.provenance import digest
from tessera.core.seeds import generator
from tessera.demo.flow_pairs import FlowPair, make_flow_pair
from tessera.demo.packages import Picture
from tessera.demo.training import learn, make_samples
from tessera.learning.trainings import flushing_denormals
from tessera.learning.weights.tensors import safetensors_bytes

STAGE = "starter flow"  # of random draws
# Iterations and pairs of a batch, of each level that is trained. In smaller frames, hardly anything moves.
LEVELS = {3: (5000, 64), 4: (6000, 32), 5: (6000, 16)}
RATE = 5e-4  # of learning, at most
NEAR_L1 = 1e-4  # the square of an error, in pixels, below which the loss grows with the square
CONTRAST = 4  # of what changes from frame to frame, which is little
MEASURED = 400  # pairs


def train_starter_flow(
    build: Callable[[], Any],
    pictures: Sequence[Picture],
    folder: Path,
    weights: Path,
    run: Path,
    *,
    pairs: int,
    seed: int,
    threads: int,
    code: str,
) -> None:
    """Train the SPyNet of mmagic that `build` returns on `pairs` pairs of those of `pictures` that are for training.

    Writes its weights to the safetensors `weights`, in half precision, under mmagic's names. The folder `folder` has the
    pictures; see `fetch_pictures`. The state of the training is kept in the folder `run`, so that it goes on where it was
    interrupted, unless one of its arguments or the digest `code` is another; it is removed at the end. Prints the error of the
    flow of the other pictures. Raises `TesseraError` if there is no picture for training.
    """
    make = partial(make_samples, pictures, folder, make=make_flow_pair, stage=STAGE, seed=seed, threads=threads)
    made = make({"train"}, count=pairs)
    torch.set_num_threads(threads)
    identity = digest([[each.sha256 for each in pictures if each.split == "train"], pairs, list(LEVELS.items()), seed, code])
    network = build()
    fit(network, made, run, seed, identity)
    tensors = {
        name: value.half().contiguous() for name, value in network.basic_module.state_dict(prefix="basic_module.").items()
    }
    weights.write_bytes(safetensors_bytes(tensors, {"format": "pt"}))
    _measure(network, make({"val", "test"}, count=MEASURED))
    shutil.rmtree(run)


@flushing_denormals()
def fit(network: Any, pairs: Sequence[FlowPair], run: Path, seed: int, identity: str) -> None:
    """Train `network` on `pairs`, one level after another; see `learn`.

    Numbers of the convolutions are bfloat16, which is three times as fast on processors that have instructions for it.
    """
    torch.manual_seed(int(generator(seed, STAGE, "weights").integers(2**31)))
    network.requires_grad_(True)
    for level in network.basic_module:
        _initialize(level)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network.to(device)
    for level, (iterations, batch) in LEVELS.items():
        module = network.basic_module[level]
        if level != min(LEVELS):
            # It does the same at twice the size.
            module.load_state_dict(network.basic_module[level - 1].state_dict())

        def loss(random: np.random.Generator, level: int = level, batch: int = batch) -> Tensor:
            frames, flow = (each.to(device) for each in _batch(pairs, batch, random))
            with torch.autocast(device, torch.bfloat16):
                found = estimate(network, frames, level)
            smaller = 2 ** (len(network.basic_module) - 1 - level)
            difference = found - F.avg_pool2d(flow, smaller) / smaller
            return torch.sqrt((difference**2).sum(dim=1) + NEAR_L1).mean()

        folder = run / f"level {level}"
        learn(module, loss, folder, iterations=iterations, rate=RATE, stage=f"{STAGE} {level}", seed=seed, identity=identity)
    network.cpu().eval()


def estimate(network: Any, frames: Tensor, level: int) -> Tensor:
    """Return the flow of `frames` (N, 2, 3, H, W), from 0 to 1, that `network` has found after `level`.

    Float32 (N, 2, h, w), in pixels of that level, with the gradients of that level only. The last level has the size of the
    frames; see `compute_flow` in mmagic.
    """
    from mmagic.models.utils import flow_warp

    pyramid = [(frames - network.mean) / network.std]
    for _ in range(len(network.basic_module) - 1):
        # Pooled over rows and columns alone.
        pyramid.insert(0, F.avg_pool3d(pyramid[0], (1, 2, 2)))
    flow = frames.new_zeros(len(frames), 2, *pyramid[0].shape[3:])
    for number, (module, shown) in enumerate(zip(network.basic_module, pyramid[: level + 1], strict=False)):
        if number:
            flow = F.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=True) * 2
        first, second = shown.unbind(1)
        warped = flow_warp(second, flow.permute(0, 2, 3, 1), padding_mode="border")
        with torch.set_grad_enabled(number == level and torch.is_grad_enabled()):
            flow = flow + module(torch.cat([first, warped, flow], dim=1)).float()
    return flow


def _initialize(level: nn.Module) -> None:
    """Draw new weights of a `level`, with which it finds no motion.

    They are those of He et al. (2015), but half of the first filters see only the difference of the frames, and the others only
    their sum. With those of He et al. alone, nothing was learned in 1,200 iterations.
    """
    convolutions = [module for module in level.modules() if isinstance(module, nn.Conv2d)]
    for each in convolutions:
        nn.init.kaiming_normal_(each.weight, nonlinearity="relu")
        nn.init.zeros_(each.bias)  # type: ignore[arg-type]
    nn.init.zeros_(convolutions[-1].weight)
    # The channels are those of the first frame, of the second, and the flow.
    pictures = convolutions[0].weight.data[:, :6]
    pictures -= pictures.mean(dim=(2, 3), keepdim=True)
    half = len(pictures) // 2
    pictures[:half, :3] *= CONTRAST
    pictures[:half, 3:] = -pictures[:half, :3]
    pictures[half:, 3:] = pictures[half:, :3]


def _batch(pairs: Sequence[FlowPair], count: int, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return the frames and the flow of `count` random `pairs`: float32 (N, 2, 3, H, W), from 0 to 1, and (N, 2, H, W).

    They are mirrored and turned, and have other colours.
    """
    chosen = [pairs[number] for number in random.integers(len(pairs), size=count)]
    frames, flow = np.stack([pair.frames for pair in chosen]), np.stack([pair.flow for pair in chosen]).astype(np.float32)
    for axis in range(2):
        if random.random() < 0.5:
            frames, flow = np.flip(frames, 3 - axis), np.flip(flow, 2 - axis).copy()
            flow[..., axis] *= -1
    if random.random() < 0.5:
        frames, flow = frames.swapaxes(2, 3), flow.swapaxes(1, 2)[..., ::-1]
    return _channels_first(frames[..., random.permutation(3)]) / 255, _channels_first(flow)


def _channels_first(images: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, -3))).float()


@torch.inference_mode()
def _measure(network: Any, pairs: Sequence[FlowPair]) -> None:
    """Print the mean error of the flow of `pairs`, in pixels, beside its mean length."""
    if not pairs:
        return
    values = []
    for frames, flow in pairs:
        first, second = _channels_first(frames)[:, None] / 255
        known = _channels_first(flow)
        values.append([float((known - found).norm(dim=0).mean()) for found in (network(first, second)[0], torch.zeros(()))])
    error, length = np.mean(values, axis=0)
    tell(f"{len(pairs)} pairs of pictures that it did not see: a mean error of {error:.3f} pixels; {length:.3f} without a flow")
