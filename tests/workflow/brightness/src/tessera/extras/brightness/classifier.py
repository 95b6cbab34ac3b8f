"""The classifier: a threshold on the mean luma."""

import json
from pathlib import Path
from statistics import mean

from tessera.core.errors import TesseraError
from tessera.extras.brightness.samples import CLASSES, mean_luma
from tessera.extras.brightness.settings import BrightnessSettings
from tessera.imaging.images import read_image


def train_brightness(images: Path, *, settings: BrightnessSettings, exported: Path) -> None:
    """Fit the threshold to the folder `images` with a folder per class, and write it as JSON to `exported`.

    Raises `TesseraError` if a class has no image.
    """
    lumas = _lumas(images)
    for name in CLASSES:
        if not lumas[name]:
            raise TesseraError(f"no {name} image to train on; add a source with `split: train` that has some")
    dark, bright = (mean(lumas[name]) for name in CLASSES)
    exported.write_text(json.dumps({"threshold": dark + settings.place * (bright - dark)}) + "\n", encoding="utf-8")


def evaluate_brightness(model: Path, val: Path, test: Path, *, metrics: Path) -> None:
    """Write the number of images in the folders `val` and `test`, and the accuracy of the `model` on them, as JSON."""
    threshold = json.loads(model.read_text(encoding="utf-8"))["threshold"]
    splits = {}
    for split, folder in (("val", val), ("test", test)):
        right = [(luma >= threshold) == (name == "bright") for name, lumas in _lumas(folder).items() for luma in lumas]
        if right:
            splits[split] = {"images": len(right), "accuracy": mean(right)}
    metrics.write_text(json.dumps({"splits": splits}, indent=2) + "\n", encoding="utf-8")


def _lumas(folder: Path) -> dict[str, list[float]]:
    """Return the mean luma of each image in `folder`, by class."""
    return {name: [mean_luma(read_image(file)) for file in sorted((folder / name).iterdir())] for name in CLASSES}
