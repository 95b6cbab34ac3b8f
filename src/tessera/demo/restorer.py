"""Train the starter restorer on clips of the pictures of the starter models, and measure it on those that it did not see."""

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from tessera.core.log import tell
from tessera.core.provenance import digest
from tessera.core.seeds import generator
from tessera.demo.block_clips import BlockClip, make_block_clip
from tessera.demo.packages import Picture
from tessera.demo.training import learn, make_samples
from tessera.imaging.mosaic.means import SIDE
from tessera.learning.block_network import OFFSETS, BlockNetwork, build_network, write_network
from tessera.learning.trainings import flushing_denormals

STAGE = "starter restorer"  # of random draws
BATCH = 16  # clips
RATE = 6e-4  # of learning, at most
NOISES = 0.3, 1.0, 2.0  # levels, standard deviations of what compression adds to the means,
LASTING = 0.5  # the part of its variance that is the same in all frames
CUT = 0.3  # of the batches, in which frames before or after some frame count as that one, as where a film is cut
NEAR_L1 = 1e-5  # the square of a difference, from 0 to 1, below which the loss grows with the square
EDGE = SIDE  # pixels at the border of a clip that do not count: less is known there
MEASURED = 400  # clips


def train_starter_restorer(
    pictures: Sequence[Picture],
    folder: Path,
    weights: Path,
    run: Path,
    *,
    clips: int,
    iterations: int,
    seed: int,
    threads: int,
    code: str,
) -> None:
    """Train on `clips` clips of those of `pictures` that are for training, and write the network to `weights`.

    The folder `folder` has the pictures; see `fetch_pictures`. The state of the training is kept in the folder `run`, so that
    it goes on where it was interrupted, unless one of its arguments or the digest `code` is another; it is removed at the end.
    Prints the PSNR on clips of the other pictures. Raises `TesseraError` if there is no picture for training.
    """
    make = partial(make_samples, pictures, folder, make=make_block_clip, stage=STAGE, seed=seed, threads=threads)
    made = make({"train"}, count=clips)
    torch.set_num_threads(threads)
    identity = digest([[each.sha256 for each in pictures if each.split == "train"], clips, iterations, seed, code])
    network = fit(made, run, iterations, seed, identity)
    write_network(network, weights)
    _measure(network, make({"val", "test"}, count=MEASURED))
    shutil.rmtree(run)


@flushing_denormals()
def fit(clips: Sequence[BlockClip], run: Path, iterations: int, seed: int, identity: str) -> BlockNetwork:
    """Return a network that was trained on `clips`; see `learn`.

    Numbers of the convolutions are bfloat16, which is three times as fast on processors that have instructions for it.
    """
    torch.manual_seed(int(generator(seed, STAGE, "weights").integers(2**31)))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    module = build_network().to(device).to(memory_format=torch.channels_last)

    def loss(random: np.random.Generator) -> Tensor:
        means, pictures = (each.to(device) for each in _batch(clips, random))
        with torch.autocast(device, torch.bfloat16):
            made = module(means)
        difference = (made - pictures)[:, :, EDGE:-EDGE, EDGE:-EDGE]
        return torch.sqrt(difference**2 + NEAR_L1).mean()

    learn(module, loss, run, iterations=iterations, rate=RATE, stage=STAGE, seed=seed, identity=identity)
    return BlockNetwork(module.cpu().eval())


def _batch(clips: Sequence[BlockClip], random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return the means and the pictures of random `clips`: float32 (N, T, 3, h, w) and (N, 3, H, W), from 0 to 1.

    They are turned, mirrored, played backwards and cut, and have other colours; their means are noisy.
    """
    chosen = [clips[number] for number in random.integers(len(clips), size=BATCH)]
    means = np.stack([clip.means for clip in chosen]).astype(np.float32)
    pictures = np.stack([clip.picture for clip in chosen]).astype(np.float32)
    spread = random.choice(NOISES, (BATCH, 1, 1, 1, 1)).astype(np.float32)
    for shape, part in ((means.shape, 1 - LASTING), (means[:, :1].shape, LASTING)):
        means += np.float32(part**0.5) * spread * random.standard_normal(shape, np.float32)
    last = len(OFFSETS) - 1
    if random.random() < CUT:
        cut = random.integers(last // 2 + 1)
        means = means[:, np.arange(last + 1).clip(cut, last)]
    if random.random() < 0.5:
        means = means[:, ::-1]
    if random.random() < 0.5:
        means, pictures = means[:, :, :, ::-1], pictures[:, :, ::-1]
    turns, colours = int(random.integers(4)), random.permutation(3)
    means, pictures = np.rot90(means, turns, (2, 3))[..., colours], np.rot90(pictures, turns, (1, 2))[..., colours]
    return _tensor(means.transpose(0, 1, 4, 2, 3)), _tensor(pictures.transpose(0, 3, 1, 2))


def _tensor(levels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(levels)) / 255


def _measure(network: BlockNetwork, clips: Sequence[BlockClip]) -> None:
    """Print the PSNR of the middle frames of `clips`: pixelated, interpolated, and restored alone and with the others."""
    if not clips:
        return
    values = []
    for means, picture in clips:
        middle = means[len(OFFSETS) // 2].astype(np.float32)
        made = [
            middle.repeat(SIDE, axis=0).repeat(SIDE, axis=1),
            cv2.resize(middle, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC),
            network.picture(middle[None], 0),
            network.restored(means.astype(np.float32)),
        ]
        values.append([cv2.PSNR(np.rint(each).clip(0, 255).astype(np.uint8), picture) for each in made])
    pixelated, interpolated, alone, together = np.mean(values, axis=0)
    tell(
        f"{len(clips)} clips of pictures that it did not see: {pixelated:.2f} dB pixelated, {interpolated:.2f} dB by bicubic"
        f" interpolation, {alone:.2f} dB restored alone, {together:.2f} dB with the frames around"
    )
