"""Ultralytics kept to itself: no network, no settings of the user, nothing loaded from a file but known model classes."""

import importlib.util
import os
import shutil
from pathlib import Path


def offline(folder: Path) -> None:
    """Prepare the environment of this process for ultralytics, which must not be imported yet.

    It then looks nothing up and downloads or installs nothing, keeps its settings in `folder` instead of the home folder,
    and unpickles checkpoints into the classes of models only, so that a hostile file cannot run code.
    """
    os.environ["YOLO_OFFLINE"] = "true"
    os.environ["YOLO_AUTOINSTALL"] = "false"
    os.environ["ULTRALYTICS_SAFE_LOAD"] = "true"
    os.environ["YOLO_CONFIG_DIR"] = str(folder)
    _place_font(folder / "Ultralytics")


def _place_font(folder: Path) -> None:
    """Put a font where ultralytics looks for Arial: it asks the network for a missing one, offline or not."""
    matplotlib = importlib.util.find_spec("matplotlib")
    assert matplotlib is not None and matplotlib.origin is not None
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(matplotlib.origin).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf", folder / "Arial.ttf")
