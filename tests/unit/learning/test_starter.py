"""The starter detector finds a mosaic in pictures of any kind, and the starter restorer restores it."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from tessera.demo.photographs import photograph
from tessera.imaging.boxes import overlap
from tessera.imaging.images import read_image
from tessera.imaging.mosaic.blocks import Grid, Mosaic, pixelate
from tessera.imaging.mosaic.smooth import smooth
from tessera.learning.block_regression import read_regression
from tessera.learning.detection.detector import Detector
from tessera.learning.detection.settings import InferenceSettings
from tessera.learning.weights.known import DETECTOR_STARTER, RESTORER_STARTER, known_weights, local_file

BOX = 144, 96, 272, 224  # x0, y0, x1, y1 of the mosaic


@pytest.fixture(scope="module")
def detector() -> Detector:
    known = known_weights()[DETECTOR_STARTER]
    return Detector(local_file(known.source), known.sha256, InferenceSettings())


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """A photograph, uint8 (300, 440, 3), RGB, with a mosaic of blocks of 16 pixels."""
    image = photograph("chelsea")[:300, :440].copy()
    x0, y0, x1, y1 = BOX
    blocks = cv2.resize(image[y0:y1, x0:x1], None, fx=1 / 16, fy=1 / 16, interpolation=cv2.INTER_AREA)
    image[y0:y1, x0:x1] = cv2.resize(blocks, (x1 - x0, y1 - y0), interpolation=cv2.INTER_NEAREST)
    return image


@pytest.mark.parametrize("kind", ["RGB", "L", "CMYK", "RGBA", "EXIF"])
def test_a_mosaic_is_found_in_a_picture_of_any_kind(kind: str, detector: Detector, picture: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    if kind == "EXIF":
        exif = Image.Exif()
        exif[274] = 6  # the top of the scene is at the right
        Image.fromarray(np.rot90(picture)).save(path, exif=exif)
    else:
        Image.fromarray(picture).convert(kind).save(path)
    (found,) = detector.predict([read_image(path)])
    assert overlap(found[0].box, BOX) > 0.7 and found[0].score > 0.5


@pytest.mark.parametrize("shape", [(1, 1), (20, 20_000), (20_000, 20), (1, 5000), (7, 3)])
def test_pictures_of_any_shape_have_an_answer(shape: tuple[int, int], detector: Detector, picture: np.ndarray) -> None:
    image = np.resize(picture, (*shape, 3))
    for found in detector.predict([image, np.zeros_like(image)]):
        for region in found:
            x0, y0, x1, y1 = region.box
            assert 0 <= x0 < x1 <= shape[1] and 0 <= y0 < y1 <= shape[0]


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_a_mosaic_is_restored_better_than_by_interpolation(name: str) -> None:
    regression = read_regression(local_file(known_weights()[RESTORER_STARTER].source))
    assert regression is not None
    image = getattr(data, name)()
    height, width = (side // 8 * 8 for side in image.shape[:2])
    image = np.ascontiguousarray(image[:height, :width])
    whole = np.full((height, width), 255, np.uint8)
    mosaic = pixelate(image, whole, Mosaic("squa_avg", 8, 8))
    restored, _ = smooth(mosaic, whole, Grid(9.0, 0.0, 0.0, 8.0, 8.0), regression.picture)
    bicubic = cv2.resize(mosaic[::8, ::8], (width, height), interpolation=cv2.INTER_CUBIC)
    assert cv2.PSNR(restored, image) > cv2.PSNR(bicubic, image) > cv2.PSNR(mosaic, image)
