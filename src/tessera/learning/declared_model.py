"""Run a model that the settings declare, in ONNX or TorchScript, on batches of pictures."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tessera.core.errors import TesseraError
from tessera.learning.face_model_settings import MOST
from tessera.learning.onnx import is_out_of_memory, load_model
from tessera.learning.weights.resolve import verify_weights

Run = Callable[[np.ndarray], Sequence[np.ndarray]]  # all outputs for a batch


class DeclaredModel:
    """A model with one input of pictures, which is loaded once, on the GPU if there is one.

    `most`: how many pictures it takes at a time. `channels_last`: whether the channels of a picture are its last axis.
    """

    def __init__(self, weights: Path, expected: Path | str, name: str, kind: str, fix: str) -> None:
        """Load the file `weights`: ONNX (`.onnx`), or TorchScript.

        `expected`: its sha256, or the path of a SHA256SUMS that must list it. `name`, `fix`: what messages call it, and what to
        do if it does not fit. `kind`: what it should be a model of, which is also the name of its settings. Raises
        `TesseraError` if the sha256 differs, or it cannot be loaded.
        """
        verify_weights(weights, expected)
        self._name, self._kind, self._fix = name, kind, fix
        with self.errors():
            self._run, self.most, self.channels_last = (_onnx if weights.suffix == ".onnx" else _torchscript)(weights)

    def run(self, batch: np.ndarray) -> list[np.ndarray]:
        """Return all outputs for `batch`, float32 (N, 3, H, W), as they are. Call it inside `errors`."""
        given = np.ascontiguousarray(batch.transpose(0, 2, 3, 1)) if self.channels_last else batch
        return [np.asarray(output) for output in self._run(given)]

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Raise the errors of models as `TesseraError`."""
        try:
            yield
        except (MemoryError, TesseraError):
            raise
        except Exception as error:  # each library raises its own exceptions
            message = " ".join(str(error).split())[:300]
            fix = f"lower `{self._kind}.batch`" if is_out_of_memory(error) else self._fix
            raise TesseraError(f"{self._name} cannot be used as a model of {self._kind} ({message}); {fix}") from error


def _onnx(path: Path) -> tuple[Run, int, bool]:
    """Return what runs the ONNX model `path`, the largest batch that it takes, and whether channels are the last axis."""
    import torch

    session = load_model(path, torch.get_num_threads(), "declare another file")
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise ValueError(f"it has {len(inputs)} inputs")
    shape = inputs[0].shape
    most = next(iter(shape), None)
    channels_last = len(shape) == 4 and shape[3] == 3 != shape[1]
    return lambda batch: session.run(None, {inputs[0].name: batch}), most if isinstance(most, int) else MOST, channels_last


def _torchscript(path: Path) -> tuple[Run, int, bool]:
    """Return the same for the model of TorchScript `path`."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    with warnings.catch_warnings():
        # Of its deprecation: published files are of this format, and it has no other reader.
        warnings.simplefilter("ignore", FutureWarning)
        model = torch.jit.load(path, map_location=device).eval()  # type: ignore[no-untyped-call]

    def run(batch: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            outputs = model(torch.from_numpy(batch).to(device))
        # Those of torchvision are a dictionary.
        listed = outputs.values() if isinstance(outputs, dict) else [outputs] if isinstance(outputs, torch.Tensor) else outputs
        return [(output.float() if output.is_floating_point() else output).cpu().numpy() for output in listed]

    return run, MOST, False
