"""Load samples for the trainer, from any position of an endless order, without making the samples before it."""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from tessera.core.errors import Dropped, TesseraError
from tessera.core.pool import keep_inherited
from tessera.core.seeds import generator
from tessera.records.lada.clips import Clip
from tessera.stages.restoration.samples import Sample, draw_sample, fixed_sample
from tessera.stages.restoration.settings import DataSettings

Position = tuple[int, int]  # epoch, and number of a clip


class Order(Sampler[Position]):
    """An endless order of samples: in each epoch, all clips in a new random order that depends only on the seed.

    It begins at `start`, a number of samples, and takes every `step`-th sample from there.
    """

    def __init__(self, clips: int, seed: int, start: int = 0, step: int = 1) -> None:
        self.clips, self.seed, self.start, self.step = clips, seed, start, step

    def __iter__(self) -> Iterator[Position]:
        known, order = -1, np.empty(0, int)
        for epoch, index in (divmod(number, self.clips) for number in count(self.start, self.step)):
            if epoch != known:
                known, order = epoch, generator(self.seed, "restoration order", str(epoch)).permutation(self.clips)
            yield epoch, int(order[index])


class TrainingSamples(Dataset[dict[str, Any] | TesseraError]):
    """Training samples. If a clip gives no sample, the next clip takes its place, and `left_out` has the reason."""

    def __init__(self, clips: Sequence[Clip], settings: DataSettings, frames: int, seed: int) -> None:
        self.clips, self.settings, self.frames, self.seed = clips, settings, frames, seed

    def __getitem__(self, position: Position) -> dict[str, Any] | TesseraError:
        epoch, number = position
        left_out = []
        for clip in [*self.clips[number:], *self.clips[:number]]:
            try:
                sample = draw_sample(clip, self.settings, frames=self.frames, seed=self.seed, epoch=epoch)
            except Dropped as error:
                left_out.append(f"{clip.key}: {error}")
            else:
                return {"sample": sample, "left_out": left_out}
        # Returned, because of an exception that is raised in another process only the text would arrive.
        return TesseraError(f"of none of {len(self.clips)} clips a sample can be drawn; the first, {left_out[0]}")


class FixedSamples(Dataset[Sample | None]):
    """Validation samples, the same each time; None for a clip that gives no sample."""

    def __init__(self, clips: Sequence[Clip], settings: DataSettings, frames: int, seed: int) -> None:
        self.clips, self.settings, self.frames, self.seed = clips, settings, frames, seed

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, number: int) -> Sample | None:
        try:
            return fixed_sample(self.clips[number], self.settings, frames=self.frames, seed=self.seed)
        except Dropped:
            return None


def collate(items: Sequence[dict[str, Any] | TesseraError]) -> dict[str, Any] | TesseraError:
    """Return a batch: `keys`, `mosaicked` and `clean`, uint8 (N, T, H, W, 3), and the clips `left_out`; or the first error."""
    samples: list[Sample] = []
    left_out: list[str] = []
    for item in items:
        if isinstance(item, TesseraError):
            return item
        samples.append(item["sample"])
        left_out += item["left_out"]
    return {
        "keys": [sample.key for sample in samples],
        "mosaicked": torch.from_numpy(np.stack([sample.mosaicked for sample in samples])),
        "clean": torch.from_numpy(np.stack([sample.clean for sample in samples])),
        "left_out": left_out,
    }


def first(items: Sequence[Sample | None]) -> Sample | None:
    """Return the only one of `items`."""
    return items[0]


def training_loader(samples: TrainingSamples, order: Order, batch: int, workers: int) -> DataLoader[Any]:
    """Return an endless loader of `samples` in `order`, `batch` per batch; `workers` processes make them, 0: this one."""
    return DataLoader(
        samples,
        batch,
        sampler=order,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=torch.cuda.is_available(),
        # Samples take unequal times, so load several batches ahead.
        prefetch_factor=4 if workers else None,
        worker_init_fn=keep_inherited,
    )


def validation_loader(samples: FixedSamples, rank: int, ranks: int, workers: int) -> DataLoader[Any]:
    """Return a loader of every `ranks`-th of `samples` from `rank` on, one at a time; `workers` processes, 0: this one."""
    turn = range(rank, len(samples), ranks)
    return DataLoader(samples, 1, sampler=turn, num_workers=workers, collate_fn=first, worker_init_fn=keep_inherited)
