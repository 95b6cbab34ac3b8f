"""Isolate ultralytics and ONNX Runtime: no network, no user settings, no code from files, no files written to datasets."""

import atexit
import os
import shutil
import sys
import tempfile
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from tessera.core.imports import many_imports
from tessera.imaging.fonts import SANS, font_folder
from tessera.learning.onnx import disable_telemetry


def offline(folder: Path | None = None) -> None:
    """Import ultralytics isolated, and with it ONNX Runtime, which it uses to simplify exports.

    Call this before any other code imports either of them. Calling it again is harmless.

    Ultralytics then downloads nothing, installs nothing, reports nothing over the network, and unpickles checkpoints only into
    classes of models, so that a hostile file cannot run code. Its settings are in `folder` instead of the home folder; by
    default this is a temporary folder that is removed when the process ends. Label caches are neither read nor written: they
    are pickles, and would be added to a finished dataset.

    On a GPU, ultralytics tries to download a model to test mixed precision. The download is refused, which gives a warning in
    the log, and the training argument `amp` decides.
    """
    folder = folder or _temporary_folder()
    os.environ["YOLO_OFFLINE"] = "true"
    os.environ["YOLO_AUTOINSTALL"] = "false"
    os.environ["ULTRALYTICS_SAFE_LOAD"] = "true"
    os.environ["YOLO_CONFIG_DIR"] = str(folder)
    os.environ.pop("ULTRALYTICS_API_KEY", None)
    disable_telemetry()
    _place_fonts(folder / "Ultralytics")

    with nullcontext() if "ultralytics" in sys.modules else many_imports():
        from PIL import Image
        from ultralytics import YOLO  # noqa: F401  # the largest part, which it imports when it is named
        from ultralytics.data import dataset
        from ultralytics.data import utils as data
        from ultralytics.utils import SETTINGS, downloads, patches

    reporters = ("sync", "clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb")
    # Not its own `update`, which would write the settings to disk.
    dict.update(SETTINGS, {**dict.fromkeys(reporters, False), "api_key": ""})
    # YOLO_OFFLINE only changes the message of a failed download; ultralytics would still try it.
    downloads.safe_download = data.safe_download = _refuse
    downloads.attempt_download_asset = _existing
    # Its own `Image.open` would install a decoder whenever a file is not an image.
    Image.open = patches._image_open
    dataset.load_dataset_cache_file = _refuse
    dataset.save_dataset_cache_file = _keep


@cache
def _temporary_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="ultralytics-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _place_fonts(folder: Path) -> None:
    """Put a font where ultralytics looks for Arial: it downloads a missing font even if it is offline."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("Arial.ttf", "Arial.Unicode.ttf"):
        if not (folder / name).exists():
            shutil.copyfile(font_folder() / SANS, folder / name)


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise ConnectionError("Tessera keeps ultralytics offline")


def _keep(prefix: str, path: Path, cache: dict[str, Any], version: str) -> None:
    # The original function also sets this, and then writes the file.
    cache["version"] = version


def _existing(file: str | Path, *_: Any, **__: Any) -> str:
    if not Path(file).exists():
        raise ConnectionError(f"{file} does not exist, and Tessera keeps ultralytics offline")
    return str(file)
