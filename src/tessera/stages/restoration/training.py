"""Train the restorer, one stage at a time: seeded, monitored, and resumable after an interruption."""

import os
import shutil
import signal
from functools import partial
from pathlib import Path
from typing import Any

from tessera.core.errors import TesseraError
from tessera.core.messages import pluralize
from tessera.core.pool import loaders
from tessera.core.provenance import digest, sha256_file
from tessera.learning.trainings import RECORD, Trainings, environment, read_state
from tessera.stages.restoration.settings import StageTraining, StartingWeights


def train_stage(
    dataset: Path,
    best: Path,
    curves: Path,
    record: Path,
    trainings: Trainings,
    settings: StageTraining,
    weights: StartingWeights,
    *,
    seed: int,
    threads: int,
    gpus: int,
    code: str,
) -> None:
    """Train a stage on the clips of the folder `dataset`; write the best weights to `best`, and the losses to `curves`, CSV.

    The best weights are those with the highest PSNR over the mosaicked region of the clips of val, or the last ones if no clip
    can be measured. `best` contains the tensors of `generator.` and, if the stage has them, `generator_ema.` and
    `discriminator.`. `record`: gets the settings of the training and the versions of its environment.

    A stage starts from all matching networks in `weights.base`; without it, from those in `weights.load_from`; without either,
    from scratch, with the optical flow in `weights.spynet`, if any. Without `weights.vgg19`, the perceptual loss is left out.

    `trainings`: keeps the state of interrupted trainings, and logs for TensorBoard. A training with the same data, settings,
    weights, seed and `code` resumes after its last save, and a finished one is not repeated. `settings.training` may change in
    between, except `validation_clips`. `code`: a digest of `trainer.fit`. `gpus`: if above 1, the number of processes that
    divide each batch among them; they run on CPUs if there are no GPUs.

    On a CPU, equal arguments give the same bytes, interrupted or not. Results are not reproduced exactly by another version of
    torch, other hardware, another number of `threads` or `gpus` (which changes the order of sums), or a GPU (some kernels are
    not deterministic).

    Raises `TesseraError` if no clip is long enough for the stage, if weights are of another architecture, if the precision is
    not supported, if memory is insufficient, or if a loss is not finite; saved states are kept.
    """
    # Asking for GPUs must not initialize CUDA, because forks of this process could then not use it.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    import cv2

    from tessera.stages.restoration.trainer import SPLITS, fit

    # Each process that loads samples has one core. Threads do not survive the fork that creates it, and OpenCV would wait for
    # them forever if it were called there.
    cv2.setNumThreads(1)
    _check(settings, weights, gpus)
    checksums = dataset / "SHA256SUMS"
    lines = checksums.read_text(encoding="utf-8").splitlines()
    parts = {"stage", "data", "generator", *(["discriminator"] if settings.stage.losses.adversarial else [])}
    identity = {
        # The lines of the files that are used in the training.
        "data": digest([line for line in lines if line[66:].startswith(tuple(f"{split}/" for split in SPLITS))]),
        "settings": {
            **settings.model_dump(mode="json", include=parts),
            "validation_clips": settings.training.validation_clips,
        },
        "weights": {name: sha256_file(path) for name, path in weights if path},
        "seed": seed,
        "code": code,
    }
    arguments: dict[str, Any] = {
        "dataset": dataset,
        "settings": settings,
        "weights": weights,
        "seed": seed,
        "threads": threads,
        "workers": loaders(threads),
    }
    train = partial(fit, **arguments) if gpus == 1 else partial(_launch, gpus=gpus, arguments=arguments)
    run = trainings.complete(identity, checksums, partial(environment, "torch", "mmagic", "mmengine"), train)
    state = read_state(run)
    assert state is not None
    shutil.copyfile(run / "best.pth", best)
    curves.write_text(state["progress"]["curves"], encoding="utf-8")
    shutil.copyfile(run / RECORD, record)


def _check(settings: StageTraining, weights: StartingWeights, gpus: int) -> None:
    import torch

    stage, training = settings.stage, settings.training
    if not (stage.losses.pixel or stage.losses.adversarial or weights.vgg19):
        raise TesseraError(
            f"the stage {stage.name} has only the perceptual loss, which needs weights; declare `restoration.weights.vgg19`"
        )
    parts = gpus * training.accumulate
    if stage.batch % parts:
        raise TesseraError(
            f"the `batch` of the stage {stage.name}, {stage.batch}, cannot be divided evenly by"
            f" {pluralize(gpus, 'GPUs')} times an `accumulate` of {training.accumulate}; set it to a multiple of {parts}"
        )
    available = torch.cuda.device_count()
    if available and gpus > available:
        raise TesseraError(f"{gpus} GPUs are requested, but there are {available}; lower `gpu` of the rule train_stage")


def _launch(run: Path, gpus: int, arguments: dict[str, Any]) -> None:
    """Call `fit` in `gpus` processes, which torch's launcher starts and stops together."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=gpus,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        # Forks write to the same output and log as this process.
        start_method="fork",
        monitor_interval=1,
    )
    try:
        elastic_launch(config, _fit_part)(run, arguments)
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        # Despite its type, this is a dictionary if the process raised an exception.
        said: Any = failure.message
        said = said["message"] if isinstance(said, dict) else said
        kind, _, message = said.partition(": ")
        raise (TesseraError(message) if kind == TesseraError.__name__ else RuntimeError(said)) from error


def _fit_part(run: Path, arguments: dict[str, Any]) -> None:
    import torch

    from tessera.stages.restoration.trainer import fit

    # torch has this signal sent to the process when its parent ends; it must end it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    fit(run, **arguments)
