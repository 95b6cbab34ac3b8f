"""Batches of samples: pictures that processes read and change, or vectors, which are in memory."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from tessera.core.errors import Failed, TesseraError
from tessera.core.pool import keep_inherited
from tessera.core.seeds import generator
from tessera.extras.classifiers.augment import augment, crop
from tessera.extras.classifiers.dataset import Samples
from tessera.extras.classifiers.settings import ClassifierAugmentationSettings
from tessera.imaging.images import read_image
from tessera.learning.preprocessing import Preprocessing, to_square

Batch = tuple[np.ndarray, torch.Tensor]  # the numbers of samples, and their pictures or vectors


class Pictures(Dataset[tuple[int, np.ndarray] | TesseraError]):
    """The prepared pictures of samples, by (epoch, number). With an augmentation, they are changed at random.

    A changed picture depends on the seed, the epoch and its key, not on the process that makes it.
    """

    def __init__(
        self,
        samples: Samples,
        preparation: Preprocessing,
        augmentation: ClassifierAugmentationSettings | None = None,
        seed: int = 0,
    ) -> None:
        self.files, self.keys = samples.files, samples.pictures["key"].to_list()
        self.preparation, self.augmentation, self.seed = preparation, augmentation, seed

    def __getitem__(self, sample: tuple[int, int]) -> tuple[int, np.ndarray] | TesseraError:
        epoch, number = sample
        try:
            picture = read_image(self.files[number])
        except Failed as error:
            # Returned, because of an exception that is raised in another process only the text would arrive.
            return TesseraError(f"{self.files[number]}: {error}; it was changed since it was checked, make the dataset again")
        if self.augmentation is None:
            return number, to_square(picture, self.preparation)
        rng = generator(self.seed, "classifier augmentation", f"{epoch}/{self.keys[number]}")
        return number, augment(to_square(crop(picture, self.augmentation, rng), self.preparation), self.augmentation, rng)


def _collate(items: list[tuple[int, np.ndarray] | TesseraError]) -> Batch | TesseraError:
    for item in items:
        if isinstance(item, TesseraError):
            return item
    numbers, pictures = zip(*items, strict=True)
    return np.array(numbers), torch.from_numpy(np.stack(pictures))


class _Epoch:
    """The batches of the current epoch, as (epoch, number). The loader asks for them at the start of each epoch."""

    def __init__(self) -> None:
        self.epoch = 0
        self.batches: list[np.ndarray] = []

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return ([(self.epoch, int(number)) for number in batch] for batch in self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class Loader:
    """Batches of some samples, in the given order; of pictures, `workers` processes make them, 0: this one."""

    def __init__(
        self,
        samples: Samples,
        preparation: Preprocessing | None,
        workers: int,
        augmentation: ClassifierAugmentationSettings | None = None,
        seed: int = 0,
    ) -> None:
        self.vectors = None if samples.vectors is None else torch.from_numpy(samples.vectors)
        self.epoch = _Epoch()
        if preparation is not None:
            self.loader: DataLoader[Any] = DataLoader(
                Pictures(samples, preparation, augmentation, seed),
                batch_sampler=self.epoch,
                num_workers=workers,
                collate_fn=_collate,
                persistent_workers=workers > 0,
                worker_init_fn=keep_inherited,
                # By default, it would draw from the generator that the network draws from.
                generator=torch.Generator(),
            )

    def batches(self, order: np.ndarray, batch: int, epoch: int = 0) -> Iterator[Batch]:
        """Yield the samples of the numbers `order` in batches of about equal size, at most `batch`.

        Of about equal size, because a last batch of one sample has no variance, which batch normalisation needs. Raises
        `TesseraError` if a picture cannot be read.
        """
        if not len(order):
            return
        parts = np.array_split(order, -(-len(order) // batch))
        if self.vectors is not None:
            for numbers in parts:
                yield numbers, self.vectors[torch.from_numpy(numbers)]
            return
        self.epoch.epoch, self.epoch.batches = epoch, parts
        for item in self.loader:
            if isinstance(item, TesseraError):
                raise item
            yield item
