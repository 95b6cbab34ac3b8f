"""Ultralytics, and ONNX Runtime, kept to themselves: no network, no settings of the user, no code from a file.

Nor is anything added to a dataset.
"""

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, NoReturn


def offline(folder: Path | None = None) -> None:
    """Import ultralytics in a way that keeps it to itself, and ONNX Runtime with it, which it loads to simplify an export.

    Call this before anything else imports either; again does no harm.

    It then downloads, installs and reports nothing, and unpickles checkpoints into the classes of models only, so that a
    hostile file cannot run code. It keeps its settings in `folder` instead of the home folder; by default that is a temporary
    one, removed when the process ends. Label caches are neither read nor written: they are pickles, and would lie in a
    dataset that is finished.

    On a GPU, ultralytics would fetch a model to try mixed precision out. It is told that it cannot, warns of that in the
    log, and goes by the training argument `amp`.
    """
    folder = folder or _temporary_folder()
    os.environ["YOLO_OFFLINE"] = "true"
    os.environ["YOLO_AUTOINSTALL"] = "false"
    os.environ["ULTRALYTICS_SAFE_LOAD"] = "true"
    os.environ["YOLO_CONFIG_DIR"] = str(folder)
    os.environ.pop("ULTRALYTICS_API_KEY", None)
    # It would report to Microsoft, and keep an identifier of the device in the home folder.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    _place_fonts(folder / "Ultralytics")

    from PIL import Image
    from ultralytics.data import dataset
    from ultralytics.data import utils as data
    from ultralytics.utils import SETTINGS, downloads, patches

    reporters = ("sync", "clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb")
    # Past its own method, which would write them down.
    dict.update(SETTINGS, {**dict.fromkeys(reporters, False), "api_key": ""})
    # Being offline only changes what it says when a download fails: it would still try.
    downloads.safe_download = data.safe_download = _refuse
    downloads.attempt_download_asset = _existing
    # It would install a decoder for every file that is no image.
    Image.open = patches._image_open
    dataset.load_dataset_cache_file = _refuse
    dataset.save_dataset_cache_file = _keep


@cache
def _temporary_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="ultralytics-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _place_fonts(folder: Path) -> None:
    """Put a font where ultralytics looks for Arial: it asks the network for a missing one, offline or not."""
    from matplotlib import get_data_path

    folder.mkdir(parents=True, exist_ok=True)
    for name in ("Arial.ttf", "Arial.Unicode.ttf"):
        if not (folder / name).exists():
            shutil.copyfile(Path(get_data_path()) / "fonts/ttf/DejaVuSans.ttf", folder / name)


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise ConnectionError("tessera keeps ultralytics offline")


def _keep(prefix: str, path: Path, cache: dict[str, Any], version: str) -> None:
    # All that saving does, but for the file.
    cache["version"] = version


def _existing(file: str | Path, *_: Any, **__: Any) -> str:
    if not Path(file).exists():
        raise ConnectionError(f"{file} does not exist, and tessera keeps ultralytics offline")
    return str(file)
