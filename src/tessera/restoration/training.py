"""Training of the restorer, a stage at a time: seeded, watched, and able to go on where it was killed."""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

from tessera.errors import TesseraError
from tessera.job import tell
from tessera.provenance import digest, sha256_file
from tessera.restoration.clips import Clip, read_clips
from tessera.restoration.settings import (
    DataSettings,
    DiscriminatorSettings,
    GeneratorSettings,
    StageSettings,
    TrainingSettings,
)

SPLITS = "train", "val"
IDENTITY = "identity.json"


def train_stage(
    dataset: Path,
    checksums: Path,
    best: Path,
    curves: Path,
    run: Path,
    *,
    stage: StageSettings,
    base: Path | None,
    load_from: Path | None,
    spynet: Path | None,
    vgg19: Path | None,
    data: DataSettings,
    generator: GeneratorSettings,
    discriminator: DiscriminatorSettings,
    training: TrainingSettings,
    seed: int,
    threads: int,
    gpus: int,
    code: str,
) -> None:
    """Train `stage` on the clips of the folder `dataset`; write the best weights to `best`, and the losses to `curves`, CSV.

    The best weights are those with the highest PSNR over the mosaicked region of clips of val; the last ones where none can be
    measured. `best` holds the tensors of `generator.` and, as far as the stage has them, `generator_ema.` and `discriminator.`.
    A stage starts from the weights in `base`, of all networks that it has, else from those in `load_from`, else from scratch,
    with the optical flow of `spynet` where there is one. `vgg19` is for the perceptual loss, which is left out without.
    `run` keeps what an interrupted training needs, and logs for TensorBoard: a training of the same data, settings, weights and
    `code` goes on after its last save, and a finished one is not repeated; that of another is moved to `run.before`, from where
    it comes back. `training` may change in between, but for `validation_clips`. With `gpus` above 1 so many processes share
    each batch, on CPUs where there are no GPUs.

    On a CPU equal arguments give the same bytes, interrupted or not. Not exact are another version of torch or other hardware,
    another number of `threads` or `gpus` (it changes the order of sums), and a GPU (some kernels have no deterministic form).

    Raises `TesseraError` where no clip is as long as the stage wants, weights are of another architecture, the precision cannot
    be had, the memory does not suffice, or a loss is no number; what was saved before stays.
    """
    # To ask for GPUs must not begin to use them, for processes that are forks of this one could not.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    from tessera.restoration.trainer import read_state, train

    weights = {"base": base, "load_from": load_from, "spynet": spynet, "vgg19": vgg19}
    arguments: dict[str, Any] = {
        "clips": {split: _long_enough(read_clips(dataset / split), stage.frames, split) for split in SPLITS},
        "run": run,
        "stage": stage,
        **weights,
        "data": data,
        "generator": generator,
        "discriminator": discriminator,
        "training": training,
        "seed": seed,
        "threads": threads,
    }
    if not arguments["clips"]["train"]:
        raise TesseraError(f"{dataset / 'train'}: no clip has {stage.frames} frames; lower `frames` of the stage {stage.name}")
    _check(stage, training, vgg19, gpus)
    settings = (stage, data, generator, *[discriminator] * bool(stage.losses.adversarial))
    identity = {
        "dataset": digest([line for line in checksums.read_text(encoding="utf-8").splitlines() if _is_read(line)]),
        "settings": digest([each.model_dump(mode="json") for each in settings] + [training.validation_clips, seed]),
        "weights": digest({name: sha256_file(path) for name, path in weights.items() if path}),
        "code": code,
    }
    _prepare(run, identity)
    state = read_state(run)
    if state and state["progress"]["iteration"] == stage.iterations:
        tell(f"{run} holds this training, finished; remove the folder to repeat it")
    elif gpus == 1:
        train(**arguments)
    else:
        _launch(gpus, arguments)
    state = read_state(run)
    assert state is not None
    shutil.copyfile(run / "best.pth", best)
    curves.write_text(state["progress"]["curves"], encoding="utf-8")


def _is_read(line: str) -> bool:
    """Whether a line of SHA256SUMS tells of a file that is trained on."""
    return line[66:].startswith(tuple(f"{split}/" for split in SPLITS))


def _long_enough(clips: list[Clip], frames: int, split: str) -> list[Clip]:
    kept = [clip for clip in clips if clip.frames >= frames]
    if len(kept) < len(clips):
        tell(f"{len(clips) - len(kept)} of {len(clips)} clips of {split} have fewer than {frames} frames and are left out")
    return kept


def _check(stage: StageSettings, training: TrainingSettings, vgg19: Path | None, gpus: int) -> None:
    import torch

    if not (stage.losses.pixel or stage.losses.adversarial or vgg19):
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


def _prepare(run: Path, identity: dict[str, str]) -> None:
    """Make `run` a folder of the training `identity`: the one moved aside, where it is that, else a new one.

    What it holds of another training is moved aside: it may have taken days.
    """
    from tessera.restoration.trainer import state_file

    found, before, aside = _identity(run), run.with_name("run.before"), run.with_name("run.aside")
    if found == identity:
        return
    if state_file(run).exists():
        shutil.rmtree(aside, ignore_errors=True)
        run.rename(aside)
        changed = " and ".join(name for name in identity if found.get(name) != identity[name])
        tell(f"the training in {run} is another, by its {changed}; it is kept as {before}")
    shutil.rmtree(run, ignore_errors=True)
    if _identity(before) == identity:
        before.rename(run)
        tell(f"goes on with the training that was kept as {before}")
    else:
        run.mkdir(parents=True)
        (run / IDENTITY).write_text(json.dumps(identity, indent=2) + "\n", encoding="utf-8")
    if aside.exists():
        shutil.rmtree(before, ignore_errors=True)
        aside.rename(before)


def _identity(run: Path) -> dict[str, str]:
    """Return the identity of the training in the folder `run`; nothing where there is none."""
    try:
        found: dict[str, str] = json.loads((run / IDENTITY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = {}
    return found


def _launch(gpus: int, arguments: dict[str, Any]) -> None:
    """Train in `gpus` processes, which the launcher of torch starts and ends together."""
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
        elastic_launch(how, _train_part)(arguments)
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        # Of what was raised in it, this is a dictionary, whatever the type says.
        said: Any = failure.message
        said = said["message"] if isinstance(said, dict) else said
        kind, _, message = said.partition(": ")
        raise (TesseraError(message) if kind == TesseraError.__name__ else RuntimeError(said)) from error


def _train_part(arguments: dict[str, Any]) -> None:
    import torch

    from tessera.restoration.trainer import train

    # By this it learns that the process which started it is gone.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    train(**arguments)
