"""The trainer of classifiers, exactly resumable: an interrupted training gives the same result.

The whole state is saved after each epoch, and an epoch depends on nothing else: its random numbers are those of the seed and
its number.
"""

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tessera.core.errors import TesseraError
from tessera.core.log import tell
from tessera.core.seeds import generator
from tessera.extras.classifiers.batches import Loader
from tessera.extras.classifiers.dataset import Samples
from tessera.extras.classifiers.settings import ClassifierAugmentationSettings, ClassifierTrainingSettings
from tessera.learning.classification.network import as_input, build_network, load_start
from tessera.learning.classification.settings import Description
from tessera.learning.trainings import flushing_denormals, read_state, report_curves, state_file
from tessera.learning.weights.tensors import write_tensors

HEADER = "epoch,learning_rate,train_loss,val_loss,val_accuracy\n"
SCORE_HEADER = "epoch,learning_rate,train_loss,val_loss,val_mae\n"


@dataclass
class Progress:
    """The progress of a training, without the state of its network and optimizer."""

    epoch: int = 0  # that are finished
    best_loss: float = math.inf
    best_at: int = 0  # epoch, from 1
    finished: bool = False
    curves: str = ""  # CSV


@flushing_denormals()
def fit(
    run: Path,
    *,
    samples: Samples,
    description: Description,
    training: ClassifierTrainingSettings,
    augmentation: ClassifierAugmentationSettings,
    weights: Path | None,
    seed: int,
    threads: int,
    workers: int,
) -> None:
    """Train in the folder `run` to the end, starting from the state in it, if any. See `train.train_classifier`.

    `workers`: number of processes that make pictures. The digest of the code of a training covers the definitions that this
    function reaches, because they determine its results.
    """
    state = read_state(run)
    progress = Progress(**state["progress"]) if state else Progress()
    if progress.finished:
        return
    _make_repeatable(threads)
    torch.manual_seed(_drawn(seed, "start"))
    network = build_network(description)
    if weights is not None and state is None:
        load_start(network, weights)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay)
    best = network.state_dict()
    if state:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        best = state["best"]
        tell(f"resuming after epoch {progress.epoch} of {training.epochs}")
    loader = Loader(samples, description.preparation, workers, augmentation, seed)
    measured = Loader(samples, description.preparation, workers)
    criterion = Criterion(samples, description.classes, training, device)
    trained, held_out = samples.indices("train"), samples.indices("val")
    begun, first = time.monotonic(), progress.epoch
    while not progress.finished:
        epoch = progress.epoch
        torch.manual_seed(_drawn(seed, f"epoch {epoch}"))
        order = generator(seed, "classifier order", str(epoch)).permutation(trained)
        loss = _train_epoch(network, optimizer, loader, order, criterion, description, training, epoch)
        val_loss, reached = _measure(network, measured, held_out, criterion, description, training.batch)
        progress.epoch += 1
        # If nothing can be measured, the last weights count as the best.
        if val_loss < progress.best_loss or not len(held_out):
            progress.best_loss, progress.best_at = val_loss, progress.epoch
            best = copy.deepcopy(network.state_dict())
        waited = progress.epoch - progress.best_at
        progress.finished = progress.epoch == training.epochs or bool(training.patience and waited >= training.patience)
        rate = learning_rate(training, epoch)
        said = [f"{value:.6g}" if math.isfinite(value) else "" for value in (rate, loss, val_loss, reached)]
        header = HEADER if description.classes else SCORE_HEADER
        progress.curves = (progress.curves or header) + ",".join([str(progress.epoch), *said]) + "\n"
        write_tensors(
            {
                "progress": asdict(progress),
                "network": network.state_dict(),
                "optimizer": optimizer.state_dict(),
                "best": best,
            },
            state_file(run),
        )
        each = (time.monotonic() - begun) / (progress.epoch - first)
        left = timedelta(seconds=round(each * (training.epochs - progress.epoch)))
        tell(
            f"epoch {progress.epoch}/{training.epochs}: loss {loss:.4g},"
            f" {f'val loss {val_loss:.4g} (best at {progress.best_at})' if len(held_out) else 'no picture to validate on'};"
            f" at most {left} left"
        )
        report_curves(progress.curves)


def _make_repeatable(threads: int) -> None:
    import cv2

    torch.set_num_threads(threads)
    # Threads do not survive the fork that makes the processes that load pictures, and OpenCV would wait for them forever.
    cv2.setNumThreads(1)
    # On a GPU, some kernels have no deterministic variant; for them there is a warning in the log.
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False


def _drawn(seed: int, purpose: str) -> int:
    return int(generator(seed, "classifier training", purpose).integers(2**31))


def learning_rate(training: ClassifierTrainingSettings, epoch: int) -> float:
    """Return the learning rate of `epoch`, from 0: constant, or half a cosine from its value to nearly 0."""
    if training.schedule == "constant":
        return training.learning_rate
    return training.learning_rate * (1 + math.cos(math.pi * epoch / training.epochs)) / 2


class Criterion:
    """The loss: cross entropy of logits for classes; L1 or cross entropy of the logistic output for scores."""

    def __init__(
        self, samples: Samples, classes: Sequence[str], training: ClassifierTrainingSettings, device: torch.device
    ) -> None:
        self.loss = training.loss
        self.is_of_classes = bool(classes)
        weights = samples.pictures["weight"].to_numpy()
        if self.is_of_classes:
            weights = weights * class_weights(samples, classes, training)[samples.targets]
        self.targets = torch.from_numpy(samples.targets).to(device)
        self.weights = torch.from_numpy(weights.astype(np.float32)).to(device)

    def __call__(self, logits: Tensor, numbers: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return the sum of the weighted losses of the samples `numbers`, and the sum of their weights."""
        indices = torch.from_numpy(numbers).to(logits.device)
        targets, weights = self.targets[indices], self.weights[indices]
        if self.is_of_classes:
            losses = functional.cross_entropy(logits, targets, reduction="none")
        elif self.loss == "cross_entropy":
            losses = functional.binary_cross_entropy_with_logits(2 * logits[:, 0], targets, reduction="none")
        else:
            losses = ((2 * logits[:, 0]).sigmoid() - targets).abs()
        return (losses * weights).sum(), weights.sum()

    def reached(self, logits: Tensor, numbers: np.ndarray) -> Tensor:
        """Return how many of the samples `numbers` are right, or the sum of the absolute errors of their scores."""
        targets = self.targets[torch.from_numpy(numbers).to(logits.device)]
        if self.is_of_classes:
            return (logits.argmax(1) == targets).sum()
        return ((2 * logits[:, 0]).sigmoid() - targets).abs().sum()


def class_weights(samples: Samples, classes: Sequence[str], training: ClassifierTrainingSettings) -> np.ndarray:
    """Return the weight of each class: float64 (classes,). A class that no training sample has weighs 1."""
    wanted = training.class_weights
    if isinstance(wanted, dict):
        return np.array([wanted[name] for name in classes])
    ones = np.ones(len(classes))
    if wanted == "none":
        return ones
    indices = samples.indices("train")
    sums = np.bincount(samples.targets[indices], samples.pictures["weight"].to_numpy()[indices], len(ones))
    balanced: np.ndarray = np.divide(sums.sum() / np.count_nonzero(sums), sums, out=ones, where=sums > 0)
    return balanced


def _train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    loader: Loader,
    order: np.ndarray,
    criterion: Criterion,
    description: Description,
    training: ClassifierTrainingSettings,
    epoch: int,
) -> float:
    """Train on the samples `order`, and return the mean loss. Raises `TesseraError` if it is not finite."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(training, epoch)
    network.train()
    sums: list[Tensor] = []
    for numbers, values in loader.batches(order, training.batch, epoch):
        loss, weight = criterion(network(as_input(values.to(criterion.weights.device), description)), numbers)
        optimizer.zero_grad()
        torch.autograd.backward(loss / weight)
        optimizer.step()
        sums.append(torch.stack([loss.detach(), weight]))
    total, weight_sum = torch.stack(sums).double().sum(0).tolist()
    if not math.isfinite(total):
        raise TesseraError(
            f"epoch {epoch + 1}: the loss is not finite; lower `learning_rate` in the `training` of the classifier"
        )
    return float(total / weight_sum)


@torch.inference_mode()
def _measure(
    network: nn.Module, loader: Loader, indices: np.ndarray, criterion: Criterion, description: Description, batch: int
) -> tuple[float, float]:
    """Return the mean loss of the samples `indices`, and their accuracy or mean absolute error; NaN if there are none."""
    network.eval()
    sums: list[Tensor] = []
    for numbers, values in loader.batches(indices, batch):
        logits = network(as_input(values.to(criterion.weights.device), description))
        sums.append(torch.stack([*criterion(logits, numbers), criterion.reached(logits, numbers)]))
    if not sums:
        return math.nan, math.nan
    loss, weight, reached = torch.stack(sums).double().sum(0).tolist()
    if not math.isfinite(loss):
        raise TesseraError("the loss of the validation split is not finite; lower `learning_rate` in the `training`")
    return loss / weight, reached / len(indices)


def logits_of(
    network: nn.Module, samples: Samples, indices: np.ndarray, description: Description, workers: int, batch: int
) -> np.ndarray:
    """Return the logits of `network` for the samples `indices`: float64 (N, outputs)."""
    network.eval()
    device = next(network.parameters()).device
    logits = [np.empty((0, description.outputs))]
    with torch.inference_mode():
        for _, values in Loader(samples, description.preparation, workers).batches(indices, batch):
            logits.append(network(as_input(values.to(device), description)).double().cpu().numpy())
    return np.concatenate(logits)
