"""Train a classifier: seeded, monitored, and resumable after an interruption; once, or once for each fold."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from tessera.core.errors import TesseraError
from tessera.core.log import tell
from tessera.core.pool import loaders
from tessera.core.provenance import sha256_file
from tessera.extras.classifiers.calibration import temperature_of
from tessera.extras.classifiers.dataset import Samples, read_samples, samples_digest
from tessera.extras.classifiers.folds import with_fold
from tessera.extras.classifiers.predictions import predict_samples
from tessera.extras.classifiers.settings import ClassifierSettings
from tessera.learning.classification.classifier import Classifier, write_classifier
from tessera.learning.classification.network import build_network, preparation_of
from tessera.learning.classification.settings import HEAD, Description
from tessera.learning.trainings import RECORD, Trainings, environment, read_state
from tessera.records.tables.classification import Predictions
from tessera.records.tables.table import types, write_table


def train_classifier(
    dataset: Path,
    vectors: Path | None,
    weights: Path | None,
    best: Path,
    curves: Path,
    record: Path,
    trainings: Trainings,
    settings: ClassifierSettings,
    *,
    seed: int,
    threads: int,
    code: str,
) -> None:
    """Train on `dataset`; write the best weights to `best`, a safetensors, and a row per epoch to `curves`, CSV.

    `dataset`: a folder with `pictures.parquet` (`tables.Pictures`), SHA256SUMS, and, unless the architecture is `head`, the
    pictures. `vectors`: the table of the vectors of a head, None for other architectures. `weights`: the file of the declared
    weights. `best`: see `read_classifier`. The best weights are those with the lowest loss on the val split; its temperature is
    the one that makes the labels of the val split most likely. `record`: gets the settings of the training and the versions of
    its environment. `trainings`: keeps the state of interrupted trainings. A training with the same data, settings, weights,
    seed and `code` resumes after its last epoch, and a finished one is not repeated. `code`: a digest of `trainer.fit`.

    On a CPU, equal arguments give the same bytes, interrupted or not, for any number of processes that load pictures. Results
    are not reproduced exactly by another version of torch, other hardware, another number of `threads` (which changes the order
    of sums), or a GPU (some kernels are not deterministic).

    Raises `TesseraError` if the dataset is not as `read_samples` wants it, if `weights` is not the declared file or of another
    architecture, if the loss is not finite, or if the GPU is out of memory.
    """
    samples = read_samples(dataset, settings.labels, vectors)
    classifier, run = _train(samples, dataset, weights, trainings, settings, seed=seed, threads=threads, code=code)
    write_classifier(best, classifier.description, classifier.network.state_dict())
    curves.write_text(curves_of(run), encoding="utf-8")
    shutil.copyfile(run / RECORD, record)


def train_fold(
    dataset: Path,
    folds: Path,
    vectors: Path | None,
    weights: Path | None,
    predictions: Path,
    trainings: Trainings,
    settings: ClassifierSettings,
    *,
    fold: int,
    seed: int,
    threads: int,
    code: str,
) -> None:
    """Train on all folds but `fold` and the next one, which tells when to stop; write what is predicted for `fold`.

    `folds`: `tables.Folds`. `predictions`: gets `tables.Predictions`, without rows if there are fewer folds. The others are as
    in `train_classifier`.
    """
    samples = read_samples(dataset, settings.labels, vectors)
    of_fold = with_fold(samples, folds, fold)
    indices = of_fold.indices("test")
    rows = pl.DataFrame(schema=types(Predictions))
    if len(indices):
        classifier, _ = _train(of_fold, dataset, weights, trainings, settings, seed=seed, threads=threads, code=code)
        rows = predict_samples(classifier, samples, indices, fold=fold, workers=loaders(threads), batch=settings.training.batch)
    else:
        tell(f"fold {fold} has no picture that could be predicted: nothing is trained for it; see the log of divide_into_folds")
    write_table(rows, Predictions, predictions)


def _train(
    samples: Samples,
    dataset: Path,
    weights: Path | None,
    trainings: Trainings,
    settings: ClassifierSettings,
    *,
    seed: int,
    threads: int,
    code: str,
) -> tuple[Classifier, Path]:
    """Return the trained and calibrated classifier, on the CPU, and the folder of its training."""
    import torch

    from tessera.extras.classifiers.trainer import logits_of

    description, identity, train = plan_training(samples, dataset, weights, settings, seed=seed, threads=threads, code=code)
    run = trainings.complete(identity, dataset / "SHA256SUMS", made_with, train)
    network = build_network(description)
    network.load_state_dict(_state(run)["best"])
    network.requires_grad_(False)
    if description.classes:
        torch.set_num_threads(threads)
        indices = samples.indices("val")
        logits = logits_of(network, samples, indices, description, loaders(threads), settings.training.batch)
        temperature = temperature_of(logits, samples.targets[indices])
        description = description.model_copy(update={"temperature": temperature})
        tell(f"temperature {temperature:.4g}")
    return Classifier(description, network), run


def made_with() -> dict[str, str]:
    """Return what a training that starts now is made with."""
    return environment("torch", "timm")


def plan_training(
    samples: Samples,
    dataset: Path,
    weights: Path | None,
    settings: ClassifierSettings,
    *,
    seed: int,
    threads: int,
    code: str,
) -> tuple[Description, dict[str, Any], Callable[[Path], None]]:
    """Return what is trained, the identity of the training, and a function that trains in a folder, see `Trainings.complete`.

    The arguments are as in `train_classifier`. Raises `TesseraError` if `weights` is not the declared file; the function raises
    it if the GPU is out of memory, and where `trainer.fit` does.
    """
    import torch

    from tessera.extras.classifiers.trainer import fit

    if weights is not None and settings.weights is not None and sha256_file(weights) != settings.weights.sha256:
        raise TesseraError(f"{weights}: its sha256 differs from the declared one; delete it and run again")
    description = describe(settings, None if samples.vectors is None else samples.vectors.shape[1])
    of_network = {"architecture", "labels", "embedding", "preparation", "features", "hidden"}
    identity = {
        "data": samples_digest(samples, dataset),
        "settings": {
            **description.model_dump(mode="json", include=of_network),
            "training": settings.training.model_dump(mode="json"),
            "augmentation": None if samples.vectors is not None else settings.augmentation.model_dump(mode="json"),
        },
        "weights": settings.weights.sha256 if settings.weights else None,
        "seed": seed,
        "code": code,
    }

    def train(run: Path) -> None:
        try:
            fit(
                run,
                samples=samples,
                description=description,
                training=settings.training,
                augmentation=settings.augmentation,
                weights=weights,
                seed=seed,
                threads=threads,
                workers=loaders(threads),
            )
        except torch.OutOfMemoryError as error:
            raise TesseraError(f"the GPU is out of memory: lower `training.batch` or `image_size` ({error})") from error

    return description, identity, train


def describe(settings: ClassifierSettings, features: int | None) -> Description:
    """Return the classifier that `settings` ask for. `features`: the length of the vectors of a head."""
    if settings.architecture == HEAD:
        return Description(
            labels=settings.labels,
            architecture=HEAD,
            embedding=settings.embedding,
            features=features,
            hidden=settings.hidden,
        )
    return Description(
        labels=settings.labels,
        architecture=settings.architecture,
        preparation=preparation_of(settings.architecture, settings.image_size, settings.resize),
    )


def curves_of(run: Path) -> str:
    """Return the table of the epochs of the training in the folder `run`, CSV; empty if nothing is saved."""
    state = read_state(run)
    return str(state["progress"]["curves"]) if state else ""


def _state(run: Path) -> dict[str, Any]:
    state = read_state(run)
    assert state is not None
    return state
