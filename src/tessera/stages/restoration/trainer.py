"""The trainer: mmengine's runner, made exactly resumable: an interrupted training gives the same result.

To resume, mmengine reads all earlier samples again, loses the state of the random generators, and cannot load its own
checkpoints without running code in them. Here a hook saves the whole state as tensors, and the loop starts at its iteration.
"""

import logging
import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from mmengine import dist
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter

from tessera.core.errors import TesseraError
from tessera.core.log import tell
from tessera.core.messages import pluralize
from tessera.core.seeds import generator as random_generator
from tessera.learning.trainings import flushing_denormals, read_state, state_file
from tessera.learning.weights.tensors import write_tensors
from tessera.records.lada.clips import Clip, read_clips
from tessera.stages.restoration.loading import FixedSamples, Order, TrainingSamples, training_loader, validation_loader
from tessera.stages.restoration.restorer import Restorer, begin, compile_parts
from tessera.stages.restoration.samples import Sample
from tessera.stages.restoration.settings import StageSettings, StageTraining, StartingWeights, TrainingSettings

SPLITS = "train", "val"
ROWS = 500  # rows in the curves of a stage, in addition to those of its validations
TELL_EVERY = 30.0  # seconds between progress lines
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PSNR_CEILING = 60.0  # dB; see `metrics.psnr`


@dataclass
class Progress:
    """The progress of a training, without the state of its networks and optimizers."""

    iteration: int = 0
    best: float = -math.inf  # dB, PSNR over the region
    best_at: int = 0  # iteration
    curves: str = ""  # CSV
    sums: dict[str, float] = field(default_factory=dict)  # sum of each loss since the last row of the curves
    count: int = 0  # iterations since the last row


class Iterations(BaseLoop):  # type: ignore[misc]
    """The loop over batches from iteration `first` on; `dataloader` must begin at the same iteration."""

    def __init__(self, runner: Runner, dataloader: DataLoader[Any], first: int, last: int) -> None:
        super().__init__(runner, dataloader)
        self.iter, self.max_iters = first, last

    def run(self) -> None:
        """Train until the last iteration."""
        self.runner.call_hook("before_train")
        for number, batch in zip(range(self.iter, self.max_iters), self.dataloader, strict=False):
            self.runner.call_hook("before_train_iter", batch_idx=number, data_batch=batch)
            losses = self.runner.model.train_step(batch, self.runner.optim_wrapper)
            self.runner.call_hook("after_train_iter", batch_idx=number, data_batch=batch, outputs=losses)
        self.runner.call_hook("after_train")


class Watch(Hook):  # type: ignore[misc]
    """Monitor a training: report its progress, write its curves, validate, and save the best weights and the state."""

    def __init__(
        self,
        progress: Progress,
        samples: DataLoader[Sample | None],
        stage: StageSettings,
        training: TrainingSettings,
        thaw: float,
        run: Path,
    ) -> None:
        self.progress, self.samples, self.stage, self.training, self.thaw = progress, samples, stage, training, thaw
        self.run, self.first = run, progress.iteration
        self.left_out: set[str] = set()

    def before_train(self, runner: Runner) -> None:
        """Open the log for TensorBoard, and drop its entries about iterations that will be repeated."""
        self.board = SummaryWriter(str(self.run), purge_step=self.first + 1) if dist.is_main_process() else None
        self.begun = self.logged = time.monotonic()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Raise or report errors of the samples, and start training the optical flow when it is time."""
        if isinstance(data_batch, TesseraError):
            raise data_batch
        for fault in set(data_batch["left_out"]) - self.left_out:
            self.left_out.add(fault)
            tell(f"skipped a clip and used the next one: {fault}")
        restorer: Restorer = runner.model
        restorer.train()
        restorer.generator.spynet.requires_grad_(batch_idx >= self.thaw)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Count an iteration with the mean losses `outputs`; validate and save at their intervals and at the end."""
        progress, last = self.progress, self.stage.iterations
        progress.iteration = batch_idx + 1
        progress.sums = {name: progress.sums.get(name, 0.0) + loss for name, loss in outputs.items()}
        progress.count += 1
        self._tell(outputs)
        is_measured = progress.iteration % self.stage.validate_every == 0 or progress.iteration == last
        psnr, mosaicked = self._measure(runner.model) if is_measured else (math.nan, math.nan)
        if progress.iteration % max(1, last // ROWS) == 0 or not math.isnan(psnr):
            self._write_row(psnr, mosaicked)
        if dist.is_main_process() and (is_measured or progress.iteration % self.training.save_every == 0):
            self._save(runner)

    def after_train(self, runner: Runner) -> None:
        """Close the log."""
        if self.board:
            self.board.close()

    def _tell(self, losses: Mapping[str, float]) -> None:
        now, iteration, last = time.monotonic(), self.progress.iteration, self.stage.iterations
        if now - self.logged > TELL_EVERY:
            self.logged = now
            each = (now - self.begun) / (iteration - self.first)
            left = timedelta(seconds=round(each * (last - iteration)))
            said = ", ".join(f"{name} {loss:.4g}" for name, loss in losses.items())
            tell(f"iteration {iteration}/{last}: {said}; {each:.2f} s each, {left} left", once=True)

    def _measure(self, restorer: Restorer) -> tuple[float, float]:
        """Return the PSNR over the region of the restored and of the mosaicked clips, NaN if there is nothing to measure.

        If the weights are the best, they are saved.
        """
        progress = self.progress
        psnr, mosaicked = validate(restorer, self.samples)
        is_better = psnr > progress.best
        if is_better:
            progress.best, progress.best_at = psnr, progress.iteration
        # If nothing can be measured, the last weights count as the best.
        if dist.is_main_process() and (is_better or math.isnan(psnr)):
            write_tensors(restorer.weights(), self.run / "best.pth")
        if not math.isnan(psnr):
            best = "the best" if is_better else f"best {progress.best:.2f} at {progress.best_at}"
            tell(
                f"iteration {progress.iteration}/{self.stage.iterations}: PSNR of the region {psnr:.2f} dB ({best}, "
                f"mosaicked {mosaicked:.2f})",
                once=True,
            )
        return psnr, mosaicked

    def _write_row(self, psnr: float, mosaicked: float) -> None:
        progress = self.progress
        values = {name: total / progress.count for name, total in progress.sums.items()}
        measured = ["", ""] if math.isnan(psnr) else [f"{psnr:.4f}", f"{mosaicked:.4f}"]
        progress.curves = progress.curves or ",".join(["iteration", *values, "psnr", "mosaicked"]) + "\n"
        progress.curves += ",".join([str(progress.iteration), *(f"{value:.6g}" for value in values.values()), *measured]) + "\n"
        progress.sums, progress.count = {}, 0
        if self.board:
            for name, value in values.items():
                self.board.add_scalar(f"loss/{name}", value, progress.iteration)
            if not math.isnan(psnr):
                self.board.add_scalar("validation/psnr", psnr, progress.iteration)
            self.board.flush()

    def _save(self, runner: Runner) -> None:
        restorer: Restorer = runner.model
        if self.training.keep == "all":
            write_tensors(restorer.weights(), self.run / f"iteration-{self.progress.iteration}.pth")
        state = {
            "progress": asdict(self.progress),
            "networks": restorer.weights(),
            "optimizers": {name: each.state_dict() for name, each in runner.optim_wrapper.items()},
            "random": torch.get_rng_state(),
        }
        write_tensors(state, state_file(self.run))


@flushing_denormals()
def fit(
    run: Path,
    *,
    dataset: Path,
    settings: StageTraining,
    weights: StartingWeights,
    seed: int,
    threads: int,
    workers: int,
) -> None:
    """Train the stage of `settings` in the folder `run` to its end, starting from the state in it, if any.

    See `training.train_stage`. `threads`, and `workers`, the number of processes that load samples, are totals over all
    processes that train together. The digest of the code of a training covers the definitions that this function reaches,
    because they determine its results.

    Raises `TesseraError` as `train_stage` does.
    """
    stage, data, training = settings.stage, settings.data, settings.training
    state = read_state(run)
    if state and state["progress"]["iteration"] == stage.iterations:
        return
    clips = {split: _long_enough(read_clips(dataset / split), stage.frames, split) for split in SPLITS}
    if not clips["train"]:
        raise TesseraError(f"{dataset / 'train'}: no clip has {stage.frames} frames; lower `frames` of the stage {stage.name}")
    logging.getLogger("mmengine").setLevel(logging.WARNING)
    rank, ranks = dist.get_rank(), dist.get_world_size()
    first_seed = int(random_generator(seed, "restoration training", stage.name).integers(2**31))
    torch.manual_seed(first_seed)
    restorer = Restorer(settings.generator, settings.discriminator, stage, training, precision(training), weights.vgg19)
    knows_flow = begin(restorer, weights.base or weights.load_from, weights.spynet)
    if not knows_flow and stage.freeze_flow == "always":
        tell(
            "there are no weights of SPyNet, and `freeze_flow` is always: frames are aligned without an optical flow", once=True
        )
    elif not knows_flow and stage.freeze_flow:
        tell("there are no weights of SPyNet: the optical flow is trained from the first iteration", once=True)
    if stage.losses.perceptual and not weights.vgg19:
        tell(
            "there are no weights of VGG19: the perceptual loss is left out; declare `restoration.weights.vgg19` for it",
            once=True,
        )
    restorer.to("cuda" if torch.cuda.is_available() else "cpu", memory_format=_order(training))
    optimizers = restorer.optimizers()
    progress = Progress()
    if state:
        progress = Progress(**state["progress"])
        restorer.load_state_dict(state["networks"], strict=False)
        for name, each in optimizers.items():
            each.load_state_dict(state["optimizers"][name])
        tell(f"resuming after iteration {progress.iteration} of {stage.iterations}", once=True)
    if training.compile and torch.cuda.is_available():
        compile_parts(restorer.generator)
    order = Order(len(clips["train"]), seed, progress.iteration * stage.batch + rank, ranks)
    samples = TrainingSamples(clips["train"], data, stage.frames, seed)
    fixed = FixedSamples(choose(clips["val"], training.validation_clips, seed), data, stage.frames, seed)
    measured = validation_loader(fixed, rank, ranks, workers // ranks)
    thaw = math.inf if stage.freeze_flow == "always" else stage.freeze_flow if knows_flow else 0
    runner = _Runner(
        restorer,
        # mmengine's files are not needed: their content is in the log.
        work_dir=tempfile.mkdtemp(),
        train_dataloader=training_loader(samples, order, stage.batch // ranks, workers // ranks),
        train_cfg={"type": Iterations, "first": progress.iteration, "last": stage.iterations},
        optim_wrapper=optimizers,
        default_hooks=dict.fromkeys(("runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint")),
        custom_hooks=[Watch(progress, measured, stage, training, thaw, run)],
        launcher="pytorch" if ranks > 1 else "none",
        env_cfg={"cudnn_benchmark": True},
        randomness={"seed": first_seed},
        log_level="WARNING",
    )
    # After the runner is made, because it sets the number of threads to 1.
    torch.set_num_threads(max(threads // ranks, 1))
    if state:
        torch.set_rng_state(state["random"])
    try:
        runner.train()
    except TesseraError as error:
        raise TesseraError(f"after iteration {progress.iteration}: {error}; the saved state is in {run}") from error
    except RuntimeError as error:
        raise explained(error, run) from error


def _long_enough(clips: list[Clip], frames: int, split: str) -> list[Clip]:
    usable = [clip for clip in clips if clip.frames >= frames]
    if len(usable) < len(clips):
        tell(
            f"{len(clips) - len(usable):,} of {pluralize(len(clips), 'clips')} of {split} left out:"
            f" fewer than {pluralize(frames, 'frames')}",
            once=True,
        )
    return usable


class _Runner(Runner):  # type: ignore[misc]
    def wrap_model(self, _: Any, model: nn.Module) -> nn.Module:
        """Do not wrap the model: it averages the gradients of several GPUs itself, once per step."""
        return model


def explained(error: RuntimeError, run: Path) -> Exception:
    """Return a `TesseraError` with a fix for `error` if there is one, or `error` itself."""
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in text:
        return TesseraError(
            "out of memory: raise `restoration.training.accumulate`, or lower `frames` or `batch` of the stage "
            f"or `restoration.data.size` ({text.splitlines()[0]}); the saved state is in {run}"
        )
    if "DataLoader worker" in text:
        return TesseraError(
            f"a process that loads samples was ended ({text.splitlines()[0]}): give the rule more memory or fewer `threads`; "
            f"the saved state is in {run}"
        )
    return error


def precision(training: TrainingSettings) -> torch.dtype:
    """Return the dtype to compute in. Raises `TesseraError` if the hardware does not support the precision."""
    has_gpu = torch.cuda.is_available()
    has_bf16 = has_gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    if training.precision == "auto":
        return torch.bfloat16 if has_bf16 else torch.float32
    if training.precision != "fp32" and not has_gpu:
        raise TesseraError(f"`restoration.training.precision` is {training.precision}, but there is no GPU; set auto or fp32")
    if training.precision == "bf16" and not has_bf16:
        raise TesseraError("`restoration.training.precision` is bf16, which this GPU does not support; set auto, fp16 or fp32")
    return DTYPES[training.precision]


@torch.inference_mode()
def validate(restorer: Restorer, samples: DataLoader[Sample | None]) -> tuple[float, float]:
    """Return the PSNR over the region of the restored and of the mosaicked `samples`, in dB, as means over samples.

    The means are over the samples of all GPUs, and NaN if there are no samples. Raises `TesseraError` if a restored sample is
    not finite.
    """
    sums = torch.zeros(3, dtype=torch.float64)
    restorer.eval()
    device = next(restorer.generator.parameters()).device
    for sample in samples:
        if sample is None or not sample.mask.any():
            continue
        frames = torch.from_numpy(sample.mosaicked)[None]
        with torch.autocast(device.type, restorer.dtype, enabled=restorer.dtype is not torch.float32):
            restored = restorer.best(restorer.pictures(frames))[0]
        levels = (restored.float() * 255).round().clamp(0, 255).permute(0, 2, 3, 1).cpu()
        region = torch.from_numpy(sample.mask > 0)
        clean = torch.from_numpy(sample.clean)
        sums += torch.tensor([region_psnr(levels, clean, region), region_psnr(frames[0], clean, region), 1])
    dist.all_reduce(sums)
    restored_sum, mosaicked_sum, count = sums.tolist()
    if math.isnan(restored_sum):
        raise TesseraError("the restored clips of val are not finite; lower the `learning_rates` of the stage")
    return (restored_sum / count, mosaicked_sum / count) if count else (math.nan, math.nan)


def region_psnr(frames: Tensor, clean: Tensor, region: Tensor) -> float:
    """Return the PSNR of `frames`, (T, H, W, 3), levels, over `region`, bool (T, H, W); dB, the mean over frames with a region.

    The same as in `metrics.measure`. It is not imported from there, because then a change of metrics would repeat trainings.
    """
    squares = ((frames.double() - clean.double()) ** 2).mean(3)
    means = torch.stack([square[inside].mean() for square, inside in zip(squares, region, strict=True) if inside.any()])
    return float((10 * torch.log10(255**2 / means)).clamp(max=PSNR_CEILING).mean())


def choose(clips: Sequence[Clip], count: int, seed: int) -> list[Clip]:
    """Return a random choice of `count` of `clips`, or all if there are fewer, in their order."""
    if len(clips) <= count:
        return list(clips)
    chosen = random_generator(seed, "restoration validation", "").permutation(len(clips))[:count]
    return [clips[number] for number in sorted(chosen.tolist())]


def _order(training: TrainingSettings) -> torch.memory_format:
    return torch.channels_last if training.channels_last else torch.contiguous_format
