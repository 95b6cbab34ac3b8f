"""Training of a detector: seeded, watched, and able to go on where it was killed."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

from tessera.detectors.offline import offline
from tessera.detectors.settings import DetectorSettings, task_of
from tessera.errors import TesseraError
from tessera.job import loaders, tell
from tessera.provenance import digest, sha256_file


def train_detector(
    dataset: Path,
    checked: Path,
    weights: Path | None,
    best: Path,
    curves: Path,
    run: Path,
    settings: DetectorSettings,
    *,
    seed: int,
    threads: int,
    code: str,
) -> None:
    """Train on the YOLO dataset in the folder `dataset`; write the best weights to `best`, a row per epoch to `curves`.

    `checked` is the report of `check_dataset`. `weights` is the file of the declared weights, taken over where the shapes
    agree; None starts from scratch. `best` is a checkpoint of ultralytics in half precision, without the state of the
    optimizer, free of dates and paths. `run` keeps what an interrupted training needs, and logs for TensorBoard: a training
    of the same data, settings, weights and `code` goes on after its last epoch, a finished one is not repeated, and what is
    left of any other is removed.

    On a CPU, equal arguments give the same bytes, interrupted or not: what an epoch draws depends on the seed and its
    number, and the whole state is kept in full precision. Not exact are another version of torch or other hardware,
    another number of `threads` (it changes the order of sums), a GPU (some kernels have no deterministic form), and the
    training arguments `time`, which counts seconds, and `batch` below 1, which measures memory.

    Raises `TesseraError` where an argument has a value that ultralytics refuses, where the loss is not finite, and where
    the memory of the GPU does not suffice.
    """
    offline()
    import torch
    import ultralytics

    from tessera.detectors.trainer import read_state

    if weights is not None and settings.weights is not None and sha256_file(weights) != settings.weights.sha256:
        raise TesseraError(f"{weights}: not the file that was declared, its sha256 differs; delete it and run again")
    identity = {
        "dataset": json.loads(checked.read_text(encoding="utf-8"))["digest"],
        "settings": digest([settings.architecture, settings.training, seed]),
        "weights": settings.weights.sha256 if settings.weights else "",
        "code": code,
        "torch": torch.__version__,
        "ultralytics": ultralytics.__version__,
    }
    _prepare(run, identity)
    state = read_state(run)
    if state is None or not state["finished"]:
        _train(dataset, weights, run, settings, seed, threads)
        state = read_state(run)
    else:
        tell(f"{run} holds this training, finished; remove the folder to repeat it")
    assert state is not None
    write_weights(run / "weights" / "best.pt", best)
    _write_curves(state["curves"], curves)


def _prepare(run: Path, identity: dict[str, str]) -> None:
    """Remove what `run` holds unless it is of the training `identity`."""
    file = run / "identity.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        found = {}
    if found == identity:
        return
    if found:
        changed = [name for name in identity if found.get(name) != identity[name]]
        tell(f"starts anew, for other {', '.join(changed)} than the training that {run} holds")
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(parents=True)
    file.write_text(json.dumps(identity, indent=2) + "\n", encoding="utf-8")


def _train(dataset: Path, weights: Path | None, run: Path, settings: DetectorSettings, seed: int, threads: int) -> None:
    import torch

    from tessera.detectors.trainer import TRAINERS

    arguments = {
        **settings.training,
        "model": settings.architecture,
        "pretrained": str(weights) if weights else False,
        "data": str((dataset / "dataset.yaml").resolve()),
        "seed": seed % 2**31,
        "deterministic": True,
        "device": "0" if torch.cuda.is_available() else "cpu",
        "workers": loaders(threads),
        "save_dir": str(run.resolve()),
        "plots": False,
    }
    try:
        trainer = TRAINERS[task_of(settings.architecture)](arguments, threads)
    except (TypeError, ValueError) as error:
        raise TesseraError(f"ultralytics refuses a training argument: {error}") from error
    try:
        trainer.train()
    except torch.OutOfMemoryError as error:
        raise TesseraError(f"the memory of the GPU does not suffice: lower `batch` or `imgsz` ({error})") from error
    except RuntimeError as error:
        if "NaN" not in str(error):
            raise
        raise TesseraError(f"{error}; lower `lr0` or set `amp: false` in the training arguments of the model") from error


def write_weights(checkpoint: Path, path: Path) -> None:
    """Write to `path` the averaged model of `checkpoint`: in half precision, and of the rest only what is needed to load it.

    Equal models give equal bytes: there is no date and no path in it.
    """
    import torch
    from ultralytics import __version__
    from ultralytics.nn.tasks import load_checkpoint

    def saved(content: dict[str, Any]) -> io.BytesIO:
        # Not to a file: its name would be written into it.
        buffer = io.BytesIO()
        torch.save(content, buffer)
        buffer.seek(0)
        return buffer

    model, found = load_checkpoint(checkpoint)
    arguments = {name: found["train_args"][name] for name in ("task", "imgsz", "single_cls")}
    model.args = dict(arguments)
    del model.pt_path
    for parameter in model.half().parameters():
        parameter.requires_grad = False
    content = {
        "epoch": -1,
        "model": model,
        "train_args": arguments,
        "train_metrics": found["train_metrics"],
        "version": __version__,
        "license": "AGPL-3.0 (https://ultralytics.com/license)",
    }
    path.write_bytes(saved(content).getvalue())


def _write_curves(text: str, path: Path) -> None:
    """Write the rows of ultralytics without its clock, which is never the same twice."""
    rows = [[field.strip() for field in line.split(",")] for line in text.splitlines()]
    clock = rows[0].index("time")
    path.write_text("".join(",".join(row[:clock] + row[clock + 1 :]) + "\n" for row in rows), encoding="utf-8")
