"""Train a detector: seeded, monitored, and resumable after an interruption."""

import io
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessera.core.errors import TesseraError
from tessera.core.pool import loaders
from tessera.core.provenance import sha256_file
from tessera.learning.detection.offline import offline
from tessera.learning.trainings import RECORD, Trainings, environment, read_state
from tessera.stages.detectors.library import task_of
from tessera.stages.detectors.settings import DetectorSettings

if TYPE_CHECKING:
    import torch


def train_detector(
    dataset: Path,
    checked: Path,
    weights: Path | None,
    best: Path,
    curves: Path,
    record: Path,
    trainings: Trainings,
    settings: DetectorSettings,
    *,
    seed: int,
    threads: int,
    code: str,
) -> None:
    """Train on the YOLO dataset in the folder `dataset`; write the best weights to `best`, and a row per epoch to `curves`.

    `checked`: the report of `check_dataset`. `weights`: the file of the declared weights, from which tensors of matching
    shapes are loaded; None starts from scratch. `best`: a checkpoint of ultralytics in half precision, without the state of
    the optimizer, dates and paths. `record`: gets the settings of the training and the versions of its environment.
    `trainings`: keeps the state of interrupted trainings, and logs for TensorBoard. A training with the same data, settings,
    weights, seed and `code` resumes after its last epoch, and a finished one is not repeated. `code`: a digest of `fit`.

    On a CPU, equal arguments give the same bytes, interrupted or not: the random numbers of an epoch depend only on the seed
    and its number, and the whole state is kept in full precision. Results are not reproduced exactly by another version of
    torch, other hardware, another number of `threads` (which changes the order of sums), a GPU (some kernels are not
    deterministic), and the training arguments `time`, which counts seconds, and `batch` below 1, which measures memory.

    Raises `TesseraError` if `weights` is not the declared file, if ultralytics rejects an argument, if the loss is not finite,
    or if the GPU is out of memory.
    """
    offline()
    identity, train = plan_training(dataset, checked, weights, settings, seed=seed, threads=threads, code=code)
    run = trainings.complete(identity, dataset / "SHA256SUMS", made_with, train)
    write_weights(run / "weights" / "best.pt", best)
    _write_curves(curves_of(run), curves)
    shutil.copyfile(run / RECORD, record)


def made_with() -> dict[str, str]:
    """Return what a training that starts now is made with."""
    return environment("torch", "ultralytics")


def plan_training(
    dataset: Path, checked: Path, weights: Path | None, settings: DetectorSettings, *, seed: int, threads: int, code: str
) -> tuple[dict[str, Any], Callable[[Path], None]]:
    """Return the identity of a training, and a function that trains in a folder, see `Trainings.complete`.

    The arguments are as in `train_detector`. Raises `TesseraError` if `weights` is not the declared file.
    """
    if weights is not None and settings.weights is not None and sha256_file(weights) != settings.weights.sha256:
        raise TesseraError(f"{weights}: its sha256 differs from the declared one; delete it and run again")
    identity = {
        "data": json.loads(checked.read_text(encoding="utf-8"))["digest"],
        "settings": {"architecture": settings.architecture, "training": settings.training},
        "weights": settings.weights.sha256 if settings.weights else None,
        "seed": seed,
        "code": code,
    }
    return identity, partial(
        fit, dataset=dataset, weights=weights, settings=settings, seed=seed, threads=threads, workers=loaders(threads)
    )


def curves_of(run: Path) -> str:
    """Return the table of the epochs of the training in the folder `run`, CSV; empty if nothing is saved."""
    state = read_state(run)
    return str(state["curves"]) if state else ""


def fit(
    run: Path, *, dataset: Path, weights: Path | None, settings: DetectorSettings, seed: int, threads: int, workers: int
) -> None:
    """Train in the folder `run` to the end, starting from the state in it, if any. See `train_detector`.

    `offline` must have been called. `workers`: number of processes that load images. The digest of the code of a training
    covers the definitions that this function reaches, because they determine its results.
    """
    import torch

    from tessera.stages.detectors.trainer import TRAINERS

    state = read_state(run)
    if state and state["finished"]:
        return
    arguments = {
        **settings.training,
        "model": settings.architecture,
        "pretrained": str(weights) if weights else False,
        "data": str((dataset / "dataset.yaml").resolve()),
        "seed": seed % 2**31,
        "deterministic": True,
        "device": "0" if torch.cuda.is_available() else "cpu",
        "workers": workers,
        "save_dir": str(run.resolve()),
        "plots": False,
    }
    try:
        trainer = TRAINERS[task_of(settings.architecture)](arguments, threads)
    except (TypeError, ValueError) as error:
        raise TesseraError(f"ultralytics rejects a training argument: {error}; correct the `training` of the model") from error
    try:
        trainer.train()
    except torch.OutOfMemoryError as error:
        raise TesseraError(f"the GPU is out of memory: lower `batch` or `imgsz` ({error})") from error
    except RuntimeError as error:
        if "NaN" not in str(error):
            raise
        raise TesseraError(f"{error}; lower `lr0` or set `amp: false` in the training arguments of the model") from error


def write_weights(
    checkpoint: Path, path: Path, change: "Callable[[torch.nn.Module], None] | None" = None, size: int | None = None
) -> None:
    """Write the averaged model of `checkpoint` to `path`, in half precision, with only the metadata needed to load it.

    `change`: changes the model before it is written. `size`: longer side in pixels of the images that it gets if nothing else
    is asked for; None keeps that of `checkpoint`. Equal models give equal bytes, because the file contains no date and no
    path.
    """
    import torch
    from ultralytics import __version__
    from ultralytics.nn.tasks import load_checkpoint

    def saved(content: dict[str, Any]) -> io.BytesIO:
        # Not to a file, because torch would write the file name into it.
        buffer = io.BytesIO()
        torch.save(content, buffer)
        buffer.seek(0)
        return buffer

    model, loaded = load_checkpoint(checkpoint)
    if change:
        change(model)
    arguments = {name: loaded["train_args"][name] for name in ("task", "imgsz", "single_cls")}
    arguments |= {"imgsz": size} if size else {}
    model.args = dict(arguments)
    del model.pt_path
    for parameter in model.half().parameters():
        parameter.requires_grad = False
    content = {
        "epoch": -1,
        "model": model,
        "train_args": arguments,
        "train_metrics": loaded["train_metrics"],
        "version": __version__,
        "license": "AGPL-3.0 (https://ultralytics.com/license)",
    }
    path.write_bytes(saved(content).getvalue())


def _write_curves(text: str, path: Path) -> None:
    """Write the results table of ultralytics without its column of elapsed time, which differs in each run."""
    rows = [[field.strip() for field in line.split(",")] for line in text.splitlines()]
    clock = rows[0].index("time")
    path.write_text("".join(",".join(row[:clock] + row[clock + 1 :]) + "\n" for row in rows), encoding="utf-8")
