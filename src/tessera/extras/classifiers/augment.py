"""Change training pictures at random."""

import numpy as np

from tessera.extras.classifiers.settings import ClassifierAugmentationSettings

ASPECT = 4 / 3  # of a crop, relative to the picture, at most
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # luma of ITU-R BT.601


def crop(picture: np.ndarray, settings: ClassifierAugmentationSettings, rng: np.random.Generator) -> np.ndarray:
    """Return a random part of `picture`, uint8 (H, W, 3), with a fraction of its area from `settings.crop` to 1."""
    if settings.crop == 1:
        return picture
    height, width = picture.shape[:2]
    area, aspect = rng.uniform(settings.crop, 1), np.exp(rng.uniform(-np.log(ASPECT), np.log(ASPECT)))
    tall = max(1, min(height, round(height * np.sqrt(area / aspect))))
    wide = max(1, min(width, round(width * np.sqrt(area * aspect))))
    top, left = rng.integers(height - tall + 1), rng.integers(width - wide + 1)
    return picture[top : top + tall, left : left + wide]


def augment(picture: np.ndarray, settings: ClassifierAugmentationSettings, rng: np.random.Generator) -> np.ndarray:
    """Return `picture`, uint8 (H, W, 3), RGB, mirrored, in grey and with other colours, each at random. It is not changed."""
    if rng.random() < settings.flip:
        picture = picture[:, ::-1]
    if rng.random() < settings.flip_vertical:
        picture = picture[::-1]
    is_grey = rng.random() < settings.grayscale
    brightness, contrast, saturation = 1 + settings.colour * rng.uniform(-1, 1, 3)
    if not (is_grey or settings.colour):
        return np.ascontiguousarray(picture)
    values = picture.astype(np.float32)
    grey = (values @ GREY)[..., None]
    values = grey + (0 if is_grey else saturation) * (values - grey)
    values = (values - grey.mean()) * contrast + grey.mean() * brightness
    return np.broadcast_to(values.round().clip(0, 255), picture.shape).astype(np.uint8)
