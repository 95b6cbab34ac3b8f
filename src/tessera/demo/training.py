"""Train the starter models of restoration: read their pictures, make samples in memory, and go on after an interruption."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import cos, pi
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from tessera.core.errors import TesseraError
from tessera.core.log import tell
from tessera.core.pool import ahead
from tessera.core.progress import progress
from tessera.core.seeds import generator
from tessera.demo.packages import Picture
from tessera.demo.starter import read_photograph
from tessera.imaging.images import resize
from tessera.learning.trainings import read_state, state_file
from tessera.learning.weights.tensors import write_tensors

KINDS = "photograph", "drawing"
LONGEST = 2400  # pixels; pictures are not held any larger
WARM_UP = 200  # iterations
SAVE_EVERY = 500  # iterations

T = TypeVar("T")


def make_samples(
    pictures: Sequence[Picture],
    folder: Path,
    splits: set[str],
    make: Callable[[Sequence[np.ndarray], np.random.Generator], T],
    count: int,
    *,
    stage: str,
    seed: int,
    threads: int,
) -> list[T]:
    """Return `count` samples that `make` makes of the photographs and drawings of `splits`.

    The folder `folder` has the pictures. `stage` names the draws from random generators. Without such pictures, there are no
    samples, and if they are for training, a `TesseraError` is raised.
    """
    read = []
    for each in pictures:
        if each.split in splits and each.kind in KINDS:
            picture = read_photograph(folder / each.name)
            scale = min(1, LONGEST / max(picture.shape[:2]))
            read.append(resize(picture, *(round(side * scale) for side in picture.shape[:2])))
    if not read:
        if "train" in splits:
            raise TesseraError("the table of pictures has no photograph and no drawing of the split train; add some")
        return []

    def made(name: str) -> T:
        return make(read, generator(seed, stage, name))

    names = [f"{'+'.join(sorted(splits))} {number}" for number in range(count)]
    with ThreadPoolExecutor(threads) as pool:
        done = ahead(pool, made, names, 2 * threads)
        return [future.result() for _, future in progress(done, count, "samples")]


def learn(
    module: nn.Module,
    loss: Callable[[np.random.Generator], Tensor],
    run: Path,
    *,
    iterations: int,
    rate: float,
    stage: str,
    seed: int,
    identity: str,
) -> None:
    """Train `module` for `iterations` to lower `loss`, which gets a random generator of its own in each.

    The learning rate rises to `rate`, and then falls to 0 as a cosine. The state is kept in the folder `run`, from which the
    training goes on if it is the training `identity`.
    """
    optimizer = torch.optim.Adam(module.parameters(), lr=rate, betas=(0.9, 0.99))
    begun = 0
    if (state := read_state(run)) and state["identity"] == identity:
        module.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        begun = state["iteration"]
        tell(f"resuming after iteration {begun} of {iterations}")
    run.mkdir(parents=True, exist_ok=True)
    for iteration in progress(range(begun, iterations), unit="iterations"):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (iteration + 1) / WARM_UP) * (1 + cos(pi * iteration / iterations)) / 2
        lost = loss(generator(seed, stage, f"iteration {iteration}"))
        optimizer.zero_grad(set_to_none=True)
        lost.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        if (iteration + 1) % SAVE_EVERY == 0 or iteration + 1 == iterations:
            state = {
                "identity": identity,
                "iteration": iteration + 1,
                "network": module.state_dict(),
                "optimizer": optimizer.state_dict(),
            }
            write_tensors(state, state_file(run))
