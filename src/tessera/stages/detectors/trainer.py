"""The trainer of ultralytics, made exactly resumable: an interrupted training gives the same result.

Ultralytics resumes from the moving average in half precision, and loses the trained weights, the state of the random
generators and the gradients that were not applied yet. Here the whole state is saved after each epoch, and an epoch depends on
nothing else.

Call `tessera.learning.detection.offline.offline` before importing this module.
"""

import io
import math
import random
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.models.yolo.segment import SegmentationTrainer
from ultralytics.utils.torch_utils import unwrap_model

from tessera.core.errors import TesseraError
from tessera.core.log import tell
from tessera.core.seeds import generator
from tessera.learning.trainings import read_state, report_curves, state_file

TELL_EVERY = 30.0  # seconds between progress lines within an epoch
LEAST_THAT_FITS = 0.1  # of the numbers of a model. Most scales share 0.06 or less with another one: that is no start.


class BoxTrainer(DetectionTrainer):  # type: ignore[misc]
    """Train a detector of boxes."""

    accumulate: int
    best: Path
    last: Path

    def __init__(self, overrides: dict[str, Any], threads: int) -> None:
        """Prepare a training with the arguments `overrides` on `threads` cores. It resumes if its folder contains a state."""
        computes_in_bfloat16 = overrides["device"] == "cpu" and overrides.get("amp") == "bf16"
        if computes_in_bfloat16:  # which ultralytics refuses on a CPU
            overrides = {**overrides, "amp": False}
        super().__init__(overrides=overrides)
        torch.set_num_threads(threads)
        self.add_callback("on_train_start", BoxTrainer.open_board)
        if computes_in_bfloat16:
            self.add_callback("on_train_start", BoxTrainer.use_bfloat16)
        self.add_callback("on_train_epoch_start", BoxTrainer.begin_epoch)
        self.add_callback("on_train_batch_end", BoxTrainer.tell_batch)
        self.add_callback("on_train_epoch_end", BoxTrainer.check_loss)
        self.add_callback("on_fit_epoch_end", BoxTrainer.tell_epoch)
        self.add_callback("on_fit_epoch_end", BoxTrainer.log_epoch)
        self._told = time.monotonic()
        self._ends: list[float] = []

    def get_model(self, cfg: Any = None, weights: torch.nn.Module | None = None, verbose: bool = True) -> torch.nn.Module:
        """Return the model of the architecture `cfg`, started with what fits of `weights`. It says how much that is.

        Raises `TesseraError` if too little fits.
        """
        model: torch.nn.Module = super().get_model(cfg, weights, verbose)
        if weights is not None:
            share = _share_that_fits(weights, model)
            tell(f"{100 * share:.1f} % of the numbers of the model start with those of the weights")
            if share < LEAST_THAT_FITS:
                theirs = Path(getattr(weights, "yaml", {}).get("yaml_file") or "that of the weights").name
                raise TesseraError(
                    f"the weights do not fit the architecture {Path(self.args.model).name}: only {100 * share:.1f} % of its"
                    f" numbers are in them; set `architecture` to {theirs}, or `weights: null` to train from scratch"
                )
        return model

    def begin_epoch(self) -> None:
        """Seed the epoch, so that its random numbers depend only on the seed and its number, not on earlier epochs."""
        self._ends = self._ends or [time.monotonic()]
        self._batches = self._pending = 0
        self._seed_epoch()
        self._fill_pool()
        self.train_loader.reset()

    def _draws(self, purpose: str) -> np.random.Generator:
        # An epoch that is repeated because of NaN gets other random numbers.
        return generator(self.args.seed, f"training: {purpose}", f"{self.epoch}/{self.nan_recovery_attempts}")

    def _seed_epoch(self) -> None:
        seed = int(self._draws("epoch").integers(2**31))
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        self.train_loader.generator.manual_seed(seed)

    def _fill_pool(self) -> None:
        """Choose the images for the first mosaic augmentations; ultralytics would use those that it loaded last."""
        dataset = self.train_loader.dataset
        if dataset.cache == "ram":
            return
        # One less than the limit, because at the limit ultralytics drops an image for another.
        chosen = self._draws("pool").permutation(dataset.ni)[: max(dataset.max_buffer_length - 1, 1)].tolist()
        for index in set(range(dataset.ni)) - set(chosen):
            dataset.ims[index] = dataset.im_hw0[index] = dataset.im_hw[index] = None
        dataset.buffer = []
        for index in chosen:
            dataset.load_image(index)
        dataset.buffer = chosen

    def _build_train_pipeline(self) -> None:
        super()._build_train_pipeline()
        # Ultralytics counts the batches of a step across epochs. Let it ask after every batch; `optimizer_step` counts.
        self._batches_per_step, self.accumulate = self.accumulate, 1

    def optimizer_step(self) -> None:
        """Apply the gradients once enough batches are accumulated, and the remaining ones at the end of an epoch."""
        total = len(self.train_loader)
        warmup = self._get_warmup_iterations(total)
        number = self.epoch * total + self._batches
        due = round(np.interp(number, [0, warmup], [1, self._batches_per_step])) if warmup else self._batches_per_step
        self._batches += 1
        self._pending += 1
        if self._pending >= due or self._batches == total:
            super().optimizer_step()
            self._pending = 0

    def save_model(self) -> bool:
        """Save the checkpoints of ultralytics and the whole state; each is written to a temporary file, then renamed."""
        last, best, state = self.last, self.best, state_file(self.save_dir)
        # The state comes last. If the training ends before that, the epoch is repeated, and gives the same checkpoints.
        files = (best, last, state)
        try:
            self.last, self.best = _partial(last), _partial(best)
            super().save_model()
            # Not to a file, because torch does not report a full disk.
            content = io.BytesIO()
            torch.save(self._state(), content)
            _partial(state).write_bytes(content.getbuffer())
            for path in files:
                if _partial(path).exists():
                    _partial(path).replace(path)
        finally:
            self.last, self.best = last, best
            for path in files:
                _partial(path).unlink(missing_ok=True)
        return True

    def _state(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "finished": bool(self.stop),
            "model": unwrap_model(self.model).state_dict(),
            "average": self.ema.ema.state_dict(),
            "updates": self.ema.updates,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "stopper": {name: _plain(value) for name, value in vars(self.stopper).items()},
            "best_fitness": _plain(self.best_fitness),
            "curves": self.csv.read_text(encoding="utf-8"),
        }

    def resume_training(self, ckpt: Any) -> None:
        """Resume from the saved state, if there is one."""
        state = read_state(self.save_dir)
        if state is None:
            return
        self.resume = True
        super().resume_training(state)
        unwrap_model(self.model).load_state_dict(state["model"])
        self.ema.ema.load_state_dict(state["average"])
        self.ema.updates = state["updates"]
        self.csv.write_text(state["curves"], encoding="utf-8")
        tell(f"resuming after epoch {self.start_epoch} of {self.epochs}")

    def final_eval(self) -> None:
        """Do nothing: a rule of its own evaluates the model, and the checkpoints must not change."""

    def check_loss(self) -> None:
        """Stop if the loss is not finite in the first epoch of a run. In later epochs, ultralytics recovers by itself."""
        broken = [name for name, loss in self.tloss.items() if not math.isfinite(loss)]
        if broken and self.epoch == self.start_epoch:
            raise TesseraError(
                f"epoch {self.epoch + 1}: {', '.join(broken)} is not finite; lower `lr0` (with `optimizer` other than auto), "
                "or set `amp: false`, in the training arguments of the model"
            )

    def tell_batch(self) -> None:
        """Report the progress within a long epoch every `TELL_EVERY` seconds."""
        if time.monotonic() - self._told > TELL_EVERY and self._batches < len(self.train_loader):
            self._told = time.monotonic()
            tell(f"epoch {self.epoch + 1}/{self.epochs}, batch {self._batches}/{len(self.train_loader)}")

    def tell_epoch(self) -> None:
        """Report the losses and metrics of an epoch, and the remaining time."""
        self._told = time.monotonic()
        self._ends.append(self._told)
        left = time_left(self._ends, self.epochs - self.epoch - 1)
        losses = ", ".join(f"{name.removesuffix('_loss')} {float(loss):.3f}" for name, loss in self.tloss.items())
        metrics = ", ".join(
            f"{name[-2]} {value:.3f}" for name, value in self.metrics.items() if name.startswith("metrics/mAP50(")
        )
        metrics = metrics.replace("B ", "box ").replace("M ", "mask ")
        tell(f"epoch {self.epoch + 1}/{self.epochs}: loss {losses}; mAP50 {metrics}; {left} left")
        report_curves(self.csv.read_text(encoding="utf-8"))

    def use_bfloat16(self) -> None:
        """Compute in bfloat16 on a CPU, which has no other reduced precision, and store the filters as it wants them for this.

        The averaged model, which is what a training gives, stays as it is.
        """
        self.amp = True
        unwrap_model(self.model).to(memory_format=torch.channels_last)

    def open_board(self) -> None:
        """Open the log for TensorBoard, and drop its entries about epochs that will be repeated."""
        self._board = SummaryWriter(self.save_dir, purge_step=self.start_epoch + 1)

    def log_epoch(self) -> None:
        """Log the losses, metrics and learning rates of an epoch for TensorBoard."""
        for name, value in {**self.label_loss_items(self.tloss), **self.metrics, **self.lr}.items():
            self._board.add_scalar(name, value, self.epoch + 1)
        self._board.flush()


class MaskTrainer(BoxTrainer, SegmentationTrainer):  # type: ignore[misc]
    """Train a detector of masks."""


def _share_that_fits(weights: torch.nn.Module, model: torch.nn.Module) -> float:
    """Return the fraction of the numbers of `model` that `weights` have under the same names and in the same shapes."""
    theirs, own = weights.state_dict(), model.state_dict()
    fitting = sum(value.numel() for name, value in own.items() if name in theirs and theirs[name].shape == value.shape)
    return float(fitting / sum(value.numel() for value in own.values()))


TRAINERS = {"detect": BoxTrainer, "segment": MaskTrainer}


def time_left(ends: Sequence[float], epochs: int) -> timedelta:
    """Estimate the time that `epochs` more epochs will take. `ends`: when the training began and each epoch ended, in seconds.

    If there are other epochs, the first one does not count, because one-time work makes it longer.
    """
    begun = 1 if len(ends) > 2 else 0
    return timedelta(seconds=round((ends[-1] - ends[begun]) / (len(ends) - 1 - begun) * epochs))


def _partial(path: Path) -> Path:
    return path.with_name(f"{path.name}.partial")


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
