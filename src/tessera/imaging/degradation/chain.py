"""Apply a chain of degradations to a clip or an image."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tessera.imaging.degradation import operations
from tessera.imaging.degradation.codecs import encode_clip
from tessera.imaging.degradation.settings import (
    AllOf,
    Blur,
    ChromaticAberration,
    Crf51,
    Crf63,
    GaussianNoise,
    Jpeg,
    Operation,
    PoissonNoise,
    Quantizer,
    Resize,
    Sharpen,
    Sinc,
    Step,
    Webp,
)

# Ranges of beta for the generalized and the plateau-shaped kernels; the values of Real-ESRGAN.
GENERALIZED_BETA = (0.5, 4.0)
PLATEAU_BETA = (1.0, 2.0)

Clip = list[np.ndarray]


class Degraded(NamedTuple):
    """What a chain made of a clip or an image."""

    frames: np.ndarray  # uint8, of the shape of the original, RGB
    operations: tuple[str, ...]  # the operations that ran, by their names in the settings, sorted, each once


def degrade(frames: np.ndarray, chain: Sequence[Step], rng: np.random.Generator, block: float | None = None) -> Degraded:
    """Return `frames` degraded by the steps of `chain`, each applied with its probability.

    `frames`: uint8 (T, H, W, 3), a clip, or (H, W, 3), an image; RGB. They are not changed; the result has the same shape.
    Parameters are drawn once per clip, and all frames get the same; only noise differs from frame to frame. `block`: side of
    the blocks of the mosaic in the frames, in pixels; None: all steps apply, see
    `AllOf.min_block_fraction`. If the chain changes the
    size of the frames, they are scaled back at the end. Equal arguments and an equal state of `rng` give equal results on any
    number of threads. Raises `ValueError` if the dtype or shape of `frames` is wrong.
    """
    if frames.dtype != np.uint8 or frames.ndim not in {3, 4} or frames.shape[-1] != 3 or not frames.size:
        raise ValueError(f"frames should be uint8 (T, H, W, 3) or (H, W, 3), not {frames.dtype} {frames.shape}")
    height, width = frames.shape[-3:-1]
    fraction = math.inf if block is None else block / min(height, width)
    ran: set[str] = set()
    clip = _run(chain, list(frames.reshape(-1, height, width, 3)), rng, (width, height), fraction, ran)
    if clip[0].shape[:2] != (height, width):
        clip = [operations.resize(frame, (width, height), "bicubic") for frame in clip]
    return Degraded(np.stack(clip).reshape(frames.shape), tuple(sorted(ran)))


def _run(
    steps: Sequence[Step], clip: Clip, rng: np.random.Generator, size: tuple[int, int], fraction: float, ran: set[str]
) -> Clip:
    """Return `clip` after `steps`, and add the names of the operations among them that ran to `ran`."""
    for step in steps:
        if rng.random() < step.probability:
            clip = _do(step, clip, rng, size, fraction, ran)
    return clip


def _do(step: Step, clip: Clip, rng: np.random.Generator, size: tuple[int, int], fraction: float, ran: set[str]) -> Clip:
    match step.operation:
        case tuple() as choices:
            weights = np.array([choice.probability for choice in choices])
            return _do(choices[rng.choice(len(choices), p=weights / weights.sum())], clip, rng, size, fraction, ran)
        case AllOf() as group:
            return _run(group.steps, clip, rng, size, fraction, ran) if fraction >= group.min_block_fraction else clip
    ran.add(step.name)
    match step.operation:
        case Sharpen(weight=weight, radius=radius, threshold=threshold):
            return [operations.sharpen(frame, weight, radius, threshold) for frame in clip]
        case Blur() as blur:
            kernel = _kernel(blur, rng)
            return [operations.blur(frame, kernel) for frame in clip]
        case Sinc(sizes=sizes, cutoff=cutoff):
            kernel = operations.sinc_kernel(rng.uniform(*cutoff), int(rng.choice(sizes)))
            return [operations.blur(frame, kernel) for frame in clip]
        case Resize(scale=limits, methods=methods):
            scale, method = rng.uniform(*limits), str(rng.choice(methods))
            shape = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
            return [operations.resize(frame, shape, method) for frame in clip]
        case GaussianNoise(sigma=limits, grey=probability):
            sigma, grey = rng.uniform(*limits), rng.random() < probability
            return [operations.gaussian_noise(frame, sigma, grey, rng) for frame in clip]
        case PoissonNoise(scale=limits, grey=probability):
            scale, grey = rng.uniform(*limits), rng.random() < probability
            return [operations.poisson_noise(frame, scale, grey, rng) for frame in clip]
        case ChromaticAberration(shift=limits):
            shift = rng.uniform(*limits)
            return [operations.chromatic_aberration(frame, shift) for frame in clip]
        case Jpeg(quality=levels) | Webp(quality=levels) as compression:
            quality = int(rng.integers(*levels, endpoint=True))
            compress = operations.jpeg if isinstance(compression, Jpeg) else operations.webp
            return [compress(frame, quality) for frame in clip]
        case Crf51(crf=levels) | Crf63(crf=levels) | Quantizer(quantizer=levels):
            return encode_clip(clip, step.name, int(rng.integers(*levels, endpoint=True)))
        case Operation() as unknown:
            raise NotImplementedError(type(unknown).__name__)


def _kernel(blur: Blur, rng: np.random.Generator) -> np.ndarray:
    weights = np.array(list(blur.kernels.values()))
    *shape, direction = str(rng.choice(list(blur.kernels), p=weights / weights.sum())).split("_")
    size, sigma = int(rng.choice(blur.sizes)), rng.uniform(*blur.sigma)
    across, theta = (sigma, 0) if direction == "isotropic" else (rng.uniform(*blur.sigma), rng.uniform(0, math.pi))
    if shape == ["plateau"]:
        return operations.plateau_kernel(size, sigma, across, theta, rng.uniform(*PLATEAU_BETA))
    beta = rng.uniform(*GENERALIZED_BETA) if shape == ["generalized"] else 1
    return operations.gaussian_kernel(size, sigma, across, theta, beta)
