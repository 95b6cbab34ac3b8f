"""What a classifier predicts for the samples of a dataset, as rows of a table."""

from typing import Any

import numpy as np
import polars as pl

from tessera.extras.classifiers.dataset import Samples
from tessera.learning.classification.classifier import Classifier
from tessera.learning.classification.settings import ScoreRange
from tessera.records.tables.classification import Predictions
from tessera.records.tables.table import types


def predict_samples(
    classifier: Classifier, samples: Samples, indices: np.ndarray, *, fold: int | None, workers: int, batch: int
) -> pl.DataFrame:
    """Return the rows of `tables.Predictions` for the samples of the numbers `indices`.

    `fold`: the fold that they belong to, None if `classifier` is that of the dataset. Large pictures are not divided.
    """
    import torch

    from tessera.extras.classifiers.trainer import logits_of
    from tessera.learning.classification.network import probabilities

    description = classifier.description
    logits = logits_of(classifier.network, samples, indices, description, workers, batch)
    results = probabilities(torch.from_numpy(logits), description).numpy()
    rows = samples.pictures[indices].select("key", "source", "group", "split", "label", "score")
    labels = description.labels
    predicted: dict[str, Any]
    if isinstance(labels, ScoreRange):
        scores = labels.least + results[:, 0] * (labels.most - labels.least)
        predicted = {"predicted": None, "probabilities": [[]] * len(rows), "predicted_score": scores}
    else:
        predicted = {
            "predicted": [labels[number] for number in results.argmax(axis=1)],
            "probabilities": results.tolist(),
            "predicted_score": None,
        }
    content = {**rows.to_dict(), "fold": fold, **predicted}
    return pl.DataFrame(content, schema_overrides=types(Predictions)).select(list(types(Predictions)))
