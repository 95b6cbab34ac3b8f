"""The trainer: mmengine's runner, with a training that can be killed at any moment and ends the same.

mmengine reads over again what was trained on before it goes on, forgets what the random generators were at, and cannot load
what it saved without running code in it. Here a hook keeps the whole state as numbers, and the loop begins where it was.
"""

import io
import logging
import math
import shutil
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
from mmengine.runner import IterBasedTrainLoop, Runner
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter

from tessera.errors import TesseraError
from tessera.job import loaders, tell
from tessera.restoration.clips import Clip
from tessera.restoration.loading import FixedSamples, Order, TrainingSamples, training_loader, validation_loader
from tessera.restoration.restorer import Restorer
from tessera.restoration.samples import Sample
from tessera.restoration.settings import (
    DataSettings,
    DiscriminatorSettings,
    GeneratorSettings,
    StageSettings,
    TrainingSettings,
)
from tessera.restoration.weights import load_weights, read_tensors
from tessera.seeds import generator as random_generator

ROWS = 500  # of the curves of a stage, besides those of its validations
TELL_EVERY = 30.0  # seconds between lines
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PSNR_CEILING = 60.0  # dB; see `metrics.psnr`


@dataclass
class Progress:
    """How far a training is, beside what its networks have learned."""

    iteration: int = 0
    best: float = -math.inf  # dB, PSNR over the region
    best_at: int = 0
    curves: str = ""
    sums: dict[str, float] = field(default_factory=dict)  # of the losses since the last row of the curves
    count: int = 0  # of the iterations since then


class Iterations(IterBasedTrainLoop):  # type: ignore[misc]
    """The loop over batches, from any iteration on: its data begin there too."""

    def __init__(self, runner: Runner, dataloader: DataLoader[Any], max_iters: int, first: int, thaw: float) -> None:
        super().__init__(runner, dataloader, max_iters)
        self._iter, self._thaw = first, thaw
        self._told: set[str] = set()

    def run(self) -> None:
        """Train to the end."""
        self.runner.call_hook("before_train")
        while self._iter < self._max_iters:
            self.run_iter(next(self.dataloader_iterator))
        self.runner.call_hook("after_train")

    def run_iter(self, batch: Any) -> None:
        """Make one step."""
        if isinstance(batch, TesseraError):
            raise batch
        for fault in set(batch["left_out"]) - self._told:
            self._told.add(fault)
            tell(f"left out, and the next clip taken: {fault}")
        restorer = self.runner.model
        restorer.train()
        restorer.generator.spynet.requires_grad_(self._iter >= self._thaw)
        try:
            super().run_iter(batch)
        except TesseraError as error:
            raise TesseraError(f"iteration {self._iter + 1}: {error}") from error


class Validate(Hook):  # type: ignore[misc]
    """Measures the weights now and then, and keeps the best."""

    priority = "HIGH"

    def __init__(self, progress: Progress, samples: DataLoader[Sample | None], every: int, last: int, best: Path) -> None:
        self.progress, self.samples, self.every, self.last, self.best = progress, samples, every, last, best
        self.psnr = math.nan

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Measure after every so many iterations, and at the end."""
        self.psnr, iteration = math.nan, batch_idx + 1
        if iteration % self.every and iteration != self.last:
            return
        restorer: Restorer = runner.model
        self.psnr, mosaicked = validate(restorer, self.samples)
        is_better = self.psnr > self.progress.best
        if is_better:
            self.progress.best, self.progress.best_at = self.psnr, iteration
        # Without a measure, the last are the best.
        if dist.is_main_process() and (is_better or math.isnan(self.psnr)):
            write_tensors(restorer.weights(), self.best)
        if not math.isnan(self.psnr):
            best = "the best" if is_better else f"best {self.progress.best:.2f} at {self.progress.best_at}"
            _tell(
                f"iteration {iteration}/{self.last}: PSNR of the region {self.psnr:.2f} dB ({best}, mosaicked {mosaicked:.2f})"
            )


class Watch(Hook):  # type: ignore[misc]
    """Writes the curves and the log for TensorBoard, and tells how far the training is."""

    def __init__(self, progress: Progress, validation: Validate, names: Sequence[str], last: int, run: Path) -> None:
        self.progress, self.validation, self.names, self.last, self.run = progress, validation, names, last, run
        self.every = max(1, last // ROWS)
        self.first = progress.iteration
        self.progress.curves = self.progress.curves or ",".join(["iteration", *names, "psnr"]) + "\n"

    def before_train(self, runner: Runner) -> None:
        """Open the log. What it holds of iterations that are repeated is forgotten."""
        self.board = SummaryWriter(str(self.run), purge_step=self.first + 1) if dist.is_main_process() else None
        self.begun = self.told = time.monotonic()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Count an iteration, whose mean losses are `outputs`."""
        progress, iteration = self.progress, batch_idx + 1
        progress.iteration = iteration
        progress.sums = {name: progress.sums.get(name, 0.0) + outputs[name] for name in self.names}
        progress.count += 1
        now = time.monotonic()
        if now - self.told > TELL_EVERY:
            self.told = now
            each = (now - self.begun) / (iteration - self.first)
            losses = ", ".join(f"{name} {outputs[name]:.4g}" for name in self.names)
            left = timedelta(seconds=round(each * (self.last - iteration)))
            _tell(f"iteration {iteration}/{self.last}: {losses}; {each:.2f} s each, {left} left")
        psnr = self.validation.psnr
        if iteration % self.every and math.isnan(psnr):
            return
        values = {name: value / progress.count for name, value in progress.sums.items()}
        row = [str(iteration), *(f"{value:.6g}" for value in values.values()), "" if math.isnan(psnr) else f"{psnr:.4f}"]
        progress.curves += ",".join(row) + "\n"
        progress.sums, progress.count = {}, 0
        if self.board:
            for name, value in values.items():
                self.board.add_scalar(f"loss/{name}", value, iteration)
            if not math.isnan(psnr):
                self.board.add_scalar("validation/psnr", psnr, iteration)
            self.board.flush()


class Keep(Hook):  # type: ignore[misc]
    """Keeps the whole state, so that a training that is killed goes on."""

    priority = "LOW"

    def __init__(self, progress: Progress, validation: Validate, training: TrainingSettings, last: int, run: Path) -> None:
        self.progress, self.validation, self.training, self.last, self.run = progress, validation, training, last, run

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Save after every so many iterations, after a validation, and at the end."""
        iteration = batch_idx + 1
        is_validated = iteration % self.validation.every == 0 or iteration == self.last
        if not dist.is_main_process() or (iteration % self.training.save_every and not is_validated):
            return
        restorer: Restorer = runner.model
        if self.training.keep == "all":
            write_tensors(restorer.weights(), self.run / f"iteration-{iteration}.pth")
        state = {
            "progress": asdict(self.progress),
            "networks": restorer.weights(),
            "optimizers": {name: each.state_dict() for name, each in runner.optim_wrapper.items()},
            "random": torch.get_rng_state(),
        }
        write_tensors(state, state_file(self.run))


def train(
    clips: Mapping[str, Sequence[Clip]],
    run: Path,
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
    launcher: str = "none",
) -> None:
    """Train `stage` to its end, from the state in `run` where there is one. See `training.train_stage`.

    `clips` are those of train and val, all as long as the stage wants. `launcher`: that of mmengine, where this process is one
    of several that train together.
    """
    logging.getLogger("mmengine").setLevel(logging.WARNING)
    if launcher != "none":
        dist.init_dist(launcher, "nccl" if torch.cuda.is_available() else "gloo")
    rank, ranks = dist.get_rank(), dist.get_world_size()
    # Gradients fade in the optical flow. With numbers too small for all their digits a CPU computes a hundred times longer.
    torch.set_flush_denormal(True)
    torch.manual_seed(int(random_generator(seed, "restoration training", stage.name).integers(2**31)))
    restorer = Restorer(generator, discriminator, stage, training, precision(training), vgg19)
    knows_flow = begin(restorer, base or load_from, spynet)
    if not knows_flow and stage.freeze_flow:
        _tell("there are no weights of SPyNet: the optical flow is learned from the start")
    if stage.losses.perceptual and not vgg19:
        _tell("there are no weights of VGG19: the perceptual loss is left out; declare `restoration.weights.vgg19` for it")
    restorer.to("cuda" if torch.cuda.is_available() else "cpu", memory_format=_order(training))
    optimizers = restorer.optimizers()
    progress = Progress()
    state = read_state(run)
    if state:
        progress = Progress(**state["progress"])
        restorer.load_state_dict(state["networks"], strict=False)
        for name, each in optimizers.items():
            each.load_state_dict(state["optimizers"][name])
        _tell(f"goes on after iteration {progress.iteration} of {stage.iterations}")
    if training.compile and torch.cuda.is_available():
        compile_parts(restorer.generator)
    workers = loaders(threads) // ranks
    order = Order(len(clips["train"]), seed, progress.iteration * stage.batch + rank, ranks)
    samples = TrainingSamples(clips["train"], data, stage.frames, seed)
    fixed = FixedSamples(choose(clips["val"], training.validation_clips, seed), data, stage.frames, seed)
    validation = Validate(
        progress, validation_loader(fixed, rank, ranks, workers), stage.validate_every, stage.iterations, run / "best.pth"
    )
    thaw = 0 if not knows_flow else math.inf if stage.freeze_flow == "always" else stage.freeze_flow
    runner = _Runner(
        restorer,
        # What mmengine writes there is in the log too.
        work_dir=tempfile.mkdtemp(),
        train_dataloader=training_loader(samples, order, stage.batch // ranks, workers),
        train_cfg={"type": Iterations, "max_iters": stage.iterations, "first": progress.iteration, "thaw": thaw},
        optim_wrapper=optimizers,
        default_hooks=dict.fromkeys(("runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint")),
        custom_hooks=[
            validation,
            Watch(progress, validation, restorer.names, stage.iterations, run),
            Keep(progress, validation, training, stage.iterations, run),
        ],
        launcher=launcher,
        env_cfg={"cudnn_benchmark": True, "dist_cfg": {"backend": "nccl" if torch.cuda.is_available() else "gloo"}},
        randomness={"seed": int(random_generator(seed, "restoration training", stage.name).integers(2**31))},
        log_level="WARNING",
    )
    # After the runner, which would make them one.
    torch.set_num_threads(max(threads // ranks, 1))
    if state:
        torch.set_rng_state(state["random"])
    try:
        runner.train()
    except RuntimeError as error:
        raise _explained(error, run) from error


class _Runner(Runner):  # type: ignore[misc]
    def wrap_model(self, _: Any, model: nn.Module) -> nn.Module:
        """Leave the model as it is: it joins the gradients of several GPUs itself, once a step."""
        return model


def _explained(error: RuntimeError, run: Path) -> Exception:
    """Return what a user can mend of `error`, or itself."""
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in text:
        return TesseraError(
            "the memory does not suffice: raise `restoration.training.accumulate`, or lower `frames` or `batch` of the stage "
            f"or `restoration.data.size` ({text.splitlines()[0]}); what was saved stays in {run}"
        )
    if "DataLoader worker" in text:
        return TesseraError(
            f"a process that loads samples was ended ({text.splitlines()[0]}): give the rule more memory or fewer `threads`; "
            f"what was saved stays in {run}"
        )
    return error


def precision(training: TrainingSettings) -> torch.dtype:
    """Return what to compute in. Raises `TesseraError` where the precision cannot be had."""
    there = torch.cuda.is_available()
    has_bf16 = there and torch.cuda.is_bf16_supported(including_emulation=False)
    if training.precision == "auto":
        return torch.bfloat16 if has_bf16 else torch.float32
    if training.precision != "fp32" and not there:
        raise TesseraError(f"`restoration.training.precision` is {training.precision}, and there is no GPU; set auto or fp32")
    if training.precision == "bf16" and not has_bf16:
        raise TesseraError("`restoration.training.precision` is bf16, which this GPU does not have; set auto, fp16 or fp32")
    return DTYPES[training.precision]


def begin(restorer: Restorer, weights: Path | None, spynet: Path | None) -> bool:
    """Give `restorer` what it starts from; return whether it knows the optical flow.

    `weights`: all that there is of its networks in this file; where there is no moving average yet, it begins at the generator.
    Else `spynet`, the weights of the optical flow alone. Raises `TesseraError` where they are of other networks.
    """
    if weights:
        load_weights(restorer.generator, weights)
        found = read_tensors(weights)
        if restorer.generator_ema:
            restorer.generator_ema.load_state_dict(restorer.generator.state_dict())
            trained = part_of(found, "generator")
            if trained:
                restorer.generator.load_state_dict(trained)
        judge = part_of(found, "discriminator")
        if restorer.discriminator and judge:
            _load(restorer.discriminator, judge, weights, "restoration.discriminator")
    elif spynet:
        flow = restorer.generator.spynet
        # What pictures are normalised with is no part of its file.
        _load(flow, {"mean": flow.mean, "std": flow.std, **read_tensors(spynet)}, spynet, "restoration.weights.spynet")
        if restorer.generator_ema:
            restorer.generator_ema.load_state_dict(restorer.generator.state_dict())
    return bool(weights or spynet)


def part_of(weights: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return those of `weights` that belong to the part `name` of a restorer, by the names that they have in it."""
    return {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}


def _load(module: nn.Module, weights: Mapping[str, Tensor], path: Path, setting: str) -> None:
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise TesseraError(
            f"{path}: of another network than wanted; check `{setting}` ({str(error).split(chr(10))[1].strip()})"
        ) from None


def compile_parts(generator: nn.Module) -> None:
    """Compile the parts that take most of the time: stacks of convolutions, which run for every frame of every branch.

    All in one would be a graph of a hundred thousand operations. Where one cannot be compiled, it runs as it is.
    """
    import torch._dynamo

    if not shutil.which("cc"):
        _tell("there is no C compiler, so that nothing is compiled for the GPU")
        return
    torch._dynamo.config.suppress_errors = True
    for part in (*generator.backbone.values(), *(each.conv_offset for each in generator.deform_align.values())):  # type: ignore[operator]
        part.compile(dynamic=False)
    for part in (generator.feat_extract, generator.reconstruction, *generator.spynet.basic_module):  # type: ignore[union-attr, misc]
        part.compile(dynamic=False)


@torch.inference_mode()
def validate(restorer: Restorer, samples: DataLoader[Sample | None]) -> tuple[float, float]:
    """Return the PSNR over the region of the restored `samples`, and of them as they are mosaicked; dB, the mean over samples.

    With several GPUs, over the samples of all. Both are NaN where there are none.
    """
    sums = torch.zeros(3, dtype=torch.float64)
    restorer.eval()
    device = next(restorer.generator.parameters()).device
    for sample in samples:
        if sample is None:
            continue
        frames = torch.from_numpy(sample.mosaicked)[None]
        with torch.autocast(device.type, restorer.dtype, enabled=restorer.dtype is not torch.float32):
            restored = restorer.best(restorer.pictures(frames))[0]
        levels = (restored.float() * 255).round().clamp(0, 255).permute(0, 2, 3, 1).cpu()
        region = torch.from_numpy((sample.mask > 0) & (sample.content > 0))
        clean = torch.from_numpy(sample.clean)
        sums += torch.tensor([region_psnr(levels, clean, region), region_psnr(frames[0], clean, region), 1])
    dist.all_reduce(sums)
    restored_sum, mosaicked_sum, count = sums.tolist()
    return (restored_sum / count, mosaicked_sum / count) if count else (math.nan, math.nan)


def region_psnr(frames: Tensor, clean: Tensor, region: Tensor) -> float:
    """Return the PSNR of `frames`, (T, H, W, 3), levels, over `region`, bool (T, H, W); dB, the mean over frames with a region.

    As in `metrics.measure`, on which no training is to depend: a change there must not train anew.
    """
    squares = ((frames.double() - clean.double()) ** 2).mean(3)
    means = torch.stack([square[inside].mean() for square, inside in zip(squares, region, strict=True) if inside.any()])
    return float((10 * torch.log10(255**2 / means)).clamp(max=PSNR_CEILING).mean())


def choose(clips: Sequence[Clip], count: int, seed: int) -> list[Clip]:
    """Return `count` of `clips`, or all where there are fewer, in their order."""
    if len(clips) <= count:
        return list(clips)
    chosen = random_generator(seed, "restoration validation", "").permutation(len(clips))[:count]
    return [clips[number] for number in sorted(chosen.tolist())]


def state_file(run: Path) -> Path:
    """Return the file that holds the state of the training in the folder `run`."""
    return run / "state.pth"


def read_state(run: Path) -> dict[str, Any] | None:
    """Return the state of the training in the folder `run`, or None where there is none. It holds numbers only, no code."""
    if not state_file(run).exists():
        return None
    try:
        state: dict[str, Any] = torch.load(state_file(run), map_location="cpu", weights_only=True)
    except Exception as error:  # what torch raises depends on where the file is damaged
        raise TesseraError(f"{state_file(run)}: damaged ({error}); remove {run} to train anew") from error
    return state


def write_tensors(content: dict[str, Any], path: Path) -> None:
    """Write `content` to `path`, whole or not at all; equal content gives equal bytes."""
    # Not to a file: torch does not tell a full disk, and writes the name of the file into it.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    partial = path.with_name(f".partial.{path.name}")
    try:
        partial.write_bytes(buffer.getbuffer())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _order(training: TrainingSettings) -> torch.memory_format:
    return torch.channels_last if training.channels_last else torch.contiguous_format


def _tell(message: str) -> None:
    """Tell from one of the processes that train together."""
    if dist.is_main_process():
        tell(message)
