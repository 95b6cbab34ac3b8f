"""Training of the restorer, a stage at a time: seeded, watched, and able to go on where it was killed."""

import os
import shutil
import signal
from functools import partial
from pathlib import Path
from typing import Any

from tessera.core.errors import TesseraError
from tessera.core.job import loaders
from tessera.core.provenance import digest, sha256_file
from tessera.core.trainings import RECORD, Trainings, environment, read_state
from tessera.pipeline.restoration.settings import StageTraining, StartingWeights


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

    The best weights are those with the highest PSNR over the mosaicked region of clips of val; the last ones where none can be
    measured. `best` holds the tensors of `generator.` and, as far as the stage has them, `generator_ema.` and `discriminator.`.
    `record` says what the training is and what it was made with. A stage starts from the weights in `base`, of all networks
    that it has, else from those in `load_from`, else from scratch, with the optical flow of `spynet` where there is one.
    `vgg19` is for the perceptual loss, which is left out without.
    `trainings` keeps what an interrupted training needs, and logs for TensorBoard: a training of the same data, settings,
    weights, seed and `code` goes on after its last save, and a finished one is not repeated. `settings.training` may change in
    between, but for `validation_clips`. `code` is a digest of `trainer.fit`. With `gpus` above 1 so many processes share each
    batch, on CPUs where there are no GPUs.

    On a CPU equal arguments give the same bytes, interrupted or not. Not exact are another version of torch or other hardware,
    another number of `threads` or `gpus` (it changes the order of sums), and a GPU (some kernels have no deterministic form).

    Raises `TesseraError` where no clip is as long as the stage wants, weights are of another architecture, the precision cannot
    be had, the memory does not suffice, or a loss is no number; what was saved before stays.
    """
    # To ask for GPUs must not begin to use them, for processes that are forks of this one could not.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    from tessera.pipeline.restoration.trainer import SPLITS, fit

    _check(settings, weights, gpus)
    checksums = (dataset / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    parts = {"stage", "data", "generator", *(["discriminator"] if settings.stage.losses.adversarial else [])}
    identity = {
        # The lines about the files that are trained on.
        "data": digest([line for line in checksums if line[66:].startswith(tuple(f"{split}/" for split in SPLITS))]),
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
    run = trainings.complete(identity, partial(environment, "torch", "mmagic", "mmengine"), train)
    state = read_state(run)
    assert state is not None
    shutil.copyfile(run / "best.pth", best)
    curves.write_text(state["progress"]["curves"], encoding="utf-8")
    shutil.copyfile(run / RECORD, record)


def _check(settings: StageTraining, weights: StartingWeights, gpus: int) -> None:
    import torch

    stage, training = settings.stage, settings.training
    if not (stage.losses.pixel or stage.losses.adversarial or weights.vgg19):
        raise TesseraError(f"the stage {stage.name} has the perceptual loss alone; declare `restoration.weights.vgg19` for it")
    parts = gpus * training.accumulate
    if stage.batch % parts:
        raise TesseraError(
            f"the stage {stage.name} has a `batch` of {stage.batch}, which {gpus} GPU(s) and an `accumulate` of "
            f"{training.accumulate} do not divide evenly; set it to a multiple of {parts}"
        )
    there = torch.cuda.device_count()
    if there and gpus > there:
        raise TesseraError(f"{gpus} GPUs are asked for, and there are {there}; lower `gpu` of the rule train_stage")


def _launch(run: Path, gpus: int, arguments: dict[str, Any]) -> None:
    """Call `fit` in `gpus` processes, which the launcher of torch starts and ends together."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    how = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=gpus,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        # They print, and tell, where this process does.
        start_method="fork",
        monitor_interval=1,
    )
    try:
        elastic_launch(how, _fit_part)(run, arguments)
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        # Of what was raised in it, this is a dictionary, whatever the type says.
        said: Any = failure.message
        said = said["message"] if isinstance(said, dict) else said
        kind, _, message = said.partition(": ")
        raise (TesseraError(message) if kind == TesseraError.__name__ else RuntimeError(said)) from error


def _fit_part(run: Path, arguments: dict[str, Any]) -> None:
    import torch

    from tessera.pipeline.restoration.trainer import fit

    # By this it learns that the process which started it is gone.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    fit(run, **arguments)
