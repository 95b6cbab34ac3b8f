"""How many labels asking for them saves, on scikit-learn's digits."""

import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.datasets import load_digits

from tessera.core import log
from tessera.extras.active_learning.choose import choose, margins
from tessera.extras.active_learning.settings import AskSettings
from tessera.extras.classifiers.dataset import Samples
from tessera.extras.classifiers.settings import ClassifierAugmentationSettings, ClassifierTrainingSettings
from tessera.extras.classifiers.trainer import fit
from tessera.learning.classification.classifier import Classifier
from tessera.learning.classification.network import build_network
from tessera.learning.classification.settings import Description
from tessera.learning.trainings import read_state
from tessera.records.tables.classification import Pictures
from tessera.records.tables.table import types

CLASSES = tuple(map(str, range(10)))
SEEDS, TESTED = 5, 500
ASKED, DRAWN, STEP = 240, 400, 40  # labels
DESCRIPTION = Description(labels=CLASSES, architecture="head", embedding="pixels", features=64, hidden=256)
TRAINING = ClassifierTrainingSettings(epochs=40, patience=0, batch=32, learning_rate=3e-3)


class Digits:
    """The pixels of the digits, as vectors, of which some are kept for tests."""

    def __init__(self, folder: Path, seed: int) -> None:
        pixels, self.targets = load_digits(return_X_y=True)
        self.vectors = (pixels / 16).astype(np.float32)
        order = np.random.default_rng(seed).permutation(len(pixels))
        self.tested, self.pool = order[:TESTED], order[TESTED:]
        self.folder, self.seed = folder, seed

    def train(self, labelled: list[int]) -> Classifier:
        indices = np.sort(labelled)
        rows = [
            {"key": f"{index:04}", "source": str(index), "group": str(index), "split": "train", "weight": 1.0}
            | {"label": CLASSES[self.targets[index]], "score": None}
            for index in indices
        ]
        pictures = pl.DataFrame(rows, schema=types(Pictures))
        samples = Samples(pictures, self.targets[indices].astype(np.int64), vectors=self.vectors[indices])
        run = self.folder / f"{self.seed}-{len(labelled)}-{labelled[-1]}"
        run.mkdir()
        fit(
            run,
            samples=samples,
            description=DESCRIPTION,
            training=TRAINING,
            augmentation=ClassifierAugmentationSettings(),
            weights=None,
            seed=self.seed,
            threads=1,
            workers=0,
        )
        state = read_state(run)
        assert state
        network = build_network(DESCRIPTION)
        network.load_state_dict(state["best"])
        return Classifier(DESCRIPTION, network.eval().requires_grad_(False))

    def accuracy(self, classifier: Classifier) -> float:
        predicted = classifier.predict_vectors(self.vectors[self.tested]).argmax(axis=1)
        return float(np.mean(predicted == self.targets[self.tested]))

    def ask(self) -> float:
        """Return the accuracy with the labels that were asked for, from none on."""
        labelled: list[int] = []
        classifier = None
        while len(labelled) < ASKED:
            left = np.setdiff1d(self.pool, labelled)
            doubt = margins(classifier.predict_vectors(self.vectors[left])) if classifier else None
            keys = [f"{index:04}" for index in left]
            chosen = choose(keys, self.vectors[left], doubt, STEP, AskSettings().candidates)
            labelled += left[chosen].tolist()
            classifier = self.train(labelled)
        assert classifier and len(set(labelled)) == ASKED
        return self.accuracy(classifier)


def test_asking_reaches_with_240_labels_what_random_choice_reaches_with_400(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "_terminal", io.StringIO())
    torch.set_num_threads(1)
    seeds = [Digits(tmp_path, seed) for seed in range(SEEDS)]
    asked = np.array([digits.ask() for digits in seeds])
    drawn = np.array(
        [[digits.accuracy(digits.train(digits.pool[:count].tolist())) for count in (ASKED, DRAWN)] for digits in seeds]
    )
    same, more = drawn.mean(axis=0)
    print(
        f"\naccuracy with {ASKED} labels: {asked.mean():.4f} if asked for, {same:.4f} at random;"
        f" with {DRAWN} at random: {more:.4f} (mean of {SEEDS} seeds)"
    )
    assert asked.mean() >= more
