"""Embed pictures: turn each into a vector that is close to the vectors of pictures that look alike."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Lock

import numpy as np

from tessera.core.errors import TesseraError
from tessera.learning.embedding.models import load_network
from tessera.learning.embedding.settings import EmbedderSettings
from tessera.learning.onnx import is_out_of_memory
from tessera.learning.preprocessing import Preprocessing, to_square
from tessera.learning.weights.declare import WeightsSettings
from tessera.learning.weights.resolve import verify_weights


class Embedder:
    """A model that is loaded once and embeds any number of pictures.

    The vector of a picture depends in its last digits on the pictures that are embedded in the same call, because libraries
    sum in another order in batches of another size. The same call gives the same bytes on the same machine: so callers choose
    batches that depend on the pictures alone, and run them in `workers`, where the number of threads does not matter either.
    """

    def __init__(
        self, weights: Path, expected: Path | str, settings: EmbedderSettings, *, section: str = "preprocessing"
    ) -> None:
        """Load the file `weights`. `expected`: its sha256, or the path of a SHA256SUMS that must list it.

        `section`: what a user calls the settings of its input, for messages. Raises `TesseraError` if the sha256 differs, or
        the file is not the model that `settings` say.
        """
        verify_weights(weights, expected)
        self._name = settings.weights.source if isinstance(settings.weights, WeightsSettings) else str(weights)
        self._settings, self._section = settings, section
        self._network = load_network(weights, settings, section)
        # A GPU works on one batch at a time anyway, and would need the memory of several.
        self._turn = Lock() if self._network.is_on_gpu else nullcontext()

    @property
    def size(self) -> int:
        """The side of the pictures that the model gets, pixels."""
        return self._network.preprocessing.size

    @contextmanager
    def workers(self, threads: int) -> Iterator[ThreadPoolExecutor]:
        """Yield a pool of `threads` threads that embed with one core each.

        Several batches side by side are as fast as one batch on all cores, and the order of summation does not depend on the
        number of threads.
        """
        if self._settings.kind == "onnx":  # each of its calls uses one core
            with ThreadPoolExecutor(threads) as pool:
                yield pool
            return
        import torch

        before = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                yield pool
        finally:
            torch.set_num_threads(before)

    def embed(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Return the vectors of `pictures`, uint8 (H, W, 3), RGB, of any sizes, in one batch: float32 (N, D).

        The vectors have length 1 if `settings.normalise` is true. A vector holds NaN if the model returned numbers that are not
        finite, or, with `normalise`, only zeros. Raises `TesseraError` if the model cannot run on such pictures.
        """
        batch = np.stack([prepare(picture, self._network.preprocessing) for picture in pictures])
        try:
            with self._turn:
                vectors = self._network.run(batch)
        except MemoryError:
            raise
        except Exception as error:  # each library raises its own exceptions
            message = " ".join(str(error).split())[:300]
            fix = f"set `{self._section}` to what the model wants, or declare another"
            if is_out_of_memory(error):
                fix = "lower `batch`" if self._settings.batch > 1 else "free the GPU, or run with `--resources gpu=0`"
            raise TesseraError(f"{self._name} cannot embed a batch of the shape {batch.shape} ({message}); {fix}") from error
        if vectors.ndim != 2 or len(vectors) != len(pictures):
            raise TesseraError(
                f"{self._name} returns numbers of the shape {vectors.shape} for {len(pictures)} pictures, expected is a vector"
                " for each; declare another model"
            )
        return normalised(vectors) if self._settings.normalise else np.where(np.isfinite(vectors), vectors, np.nan)


def normalised(vectors: np.ndarray) -> np.ndarray:
    """Return `vectors` (N, D) scaled to length 1, float32. Those that are zero or not finite become NaN."""
    exact = vectors.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scaled: np.ndarray = (exact / np.sqrt((exact * exact).sum(axis=1, keepdims=True))).astype(np.float32)
    scaled[~np.isfinite(scaled).all(axis=1)] = np.nan
    return scaled


def prepare(picture: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Return the input of a model for `picture`, uint8 (H, W, 3), RGB: float32 (3, size, size)."""
    # value / 255, less the mean, by the standard deviation, as one factor and one term
    std = np.array(preprocessing.std, np.float32)
    numbers = to_square(picture, preprocessing) * (1 / (255 * std)) - np.array(preprocessing.mean, np.float32) / std
    return np.ascontiguousarray(numbers.transpose(2, 0, 1), dtype=np.float32)
