"""The starter detector finds a mosaic in pictures of any kind, the starter restorer restores it, and the flow follows it."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from tessera.demo.photographs import photograph
from tessera.imaging.boxes import overlap
from tessera.imaging.images import read_image, resize
from tessera.imaging.mosaic.blocks import Grid, Mosaic, pixelate
from tessera.imaging.mosaic.means import draw_blocks, read_blocks
from tessera.learning.block_network import BlockNetwork, read_network
from tessera.learning.detection.detector import Detector
from tessera.learning.detection.settings import InferenceSettings
from tessera.learning.weights.known import DETECTOR_STARTER, FLOW_STARTER, RESTORER_STARTER, known_weights, local_file
from tessera.stages.restoration.models import build_flow
from tessera.stages.restoration.restorer import load_flow

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


BLOCK = 8


@pytest.fixture(scope="module")
def restorer() -> BlockNetwork:
    network = read_network(local_file(known_weights()[RESTORER_STARTER].source))
    assert network is not None
    return network


def means_of(picture: np.ndarray) -> np.ndarray:
    """Return the means of blocks of `BLOCK` pixels, rounded to levels, as a mosaic shows them."""
    height, width = (side // BLOCK for side in picture.shape[:2])
    blocks = picture[: height * BLOCK, : width * BLOCK].reshape(height, BLOCK, width, BLOCK, 3)
    return np.rint(blocks.mean(axis=(1, 3))).astype(np.float32)


def psnr(means: np.ndarray, number: int, picture: np.ndarray, restorer: BlockNetwork) -> float:
    """Return the PSNR of frame `number` of `means` when it is restored, at `SIDE` pixels a block."""
    restored = np.rint(restorer.picture(means, number)).clip(0, 255).astype(np.uint8)
    return float(cv2.PSNR(restored, resize(picture, *restored.shape[:2])))


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_a_mosaic_is_restored_better_than_by_interpolation(name: str, restorer: BlockNetwork) -> None:
    image = getattr(data, name)()
    height, width = (side // BLOCK * BLOCK for side in image.shape[:2])
    image = np.ascontiguousarray(image[:height, :width])
    whole = np.full((height, width), 255, np.uint8)
    mosaic = pixelate(image, whole, Mosaic("squa_avg", BLOCK, BLOCK))
    box = 0, 0, width, height
    blocks = read_blocks(mosaic, box, Grid(9.0, 0.0, 0.0, BLOCK, BLOCK))
    restored, _ = draw_blocks(mosaic, box, whole, blocks.filled(restorer.picture(blocks.means[None], 0)))
    bicubic = cv2.resize(mosaic[::BLOCK, ::BLOCK], (width, height), interpolation=cv2.INTER_CUBIC)
    assert cv2.PSNR(restored, image) > cv2.PSNR(bicubic, image) + 0.1 > cv2.PSNR(mosaic, image) + 0.1


@pytest.mark.parametrize("speed", [(1, 0), (0, 3), (2, 2), (5, 3)])
@pytest.mark.parametrize("name", ["astronaut", "coffee"])
def test_what_moves_behind_the_blocks_shows_more_of_itself(name: str, speed: tuple[int, int], restorer: BlockNetwork) -> None:
    photo, (x, y) = getattr(data, name)(), speed
    frames = [photo[100 + y * n : 260 + y * n, 100 + x * n : 340 + x * n] for n in range(-8, 9)]
    means = np.stack([means_of(frame) for frame in frames])
    assert psnr(means, 8, frames[8], restorer) > psnr(means[8:9], 0, frames[8], restorer) + 0.7


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
# No region extends beyond a cut that was found. At one that was missed, half of the frames show something else.
@pytest.mark.parametrize(("first", "loss"), [(0, 1.0), (9, 0.3)], ids=["all around", "after a cut"])
def test_frames_that_show_something_else_do_little_harm(name: str, first: int, loss: float, restorer: BlockNetwork) -> None:
    photo = getattr(data, name)()[:240, :320]
    others = [np.roll(data.immunohistochemistry()[:240, :320], 31 * n, axis=1) for n in range(17)]
    means = np.stack([means_of(photo)] * first + [means_of(other) for other in others[first:]])
    means[8] = means_of(photo)
    alone, together = psnr(means[8:9], 0, photo, restorer), psnr(means, 8, photo, restorer)
    assert together > alone - loss


@pytest.mark.parametrize("light", [0.4, 2.0])
def test_a_flash_does_no_harm(light: float, restorer: BlockNetwork) -> None:
    photo = data.chelsea()[:240, :320]
    means = np.stack([means_of(photo)] * 17)
    expected = psnr(means, 8, photo, restorer)
    means[[4, 7, 9]] = (means[[4, 7, 9]] * np.float32(light)).clip(0, 255)
    assert psnr(means, 8, photo, restorer) > expected - 0.5


@pytest.fixture(scope="module")
def flow() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A function of two frames, uint8 (256, 256, 3), that returns the flow of the first: float32 (256, 256, 2), pixels."""
    import torch

    network = build_flow()
    load_flow(network, local_file(known_weights()[FLOW_STARTER].source))

    def found(*frames: np.ndarray) -> np.ndarray:
        small = [cv2.resize(frame, (64, 64), interpolation=cv2.INTER_CUBIC) for frame in frames]
        first, second = torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2)[:, None].float() / 255
        with torch.inference_mode():
            result = network(first, second)[0].permute(1, 2, 0).numpy()
        return cv2.resize(result, (256, 256)) * 4

    return found


@pytest.mark.parametrize("speed", [(0, 0), (3, 0), (0, -6), (-8, 5)])
@pytest.mark.parametrize("name", ["coffee", "rocket"])
def test_the_flow_follows_what_moves_behind_the_blocks(
    name: str, speed: tuple[int, int], flow: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> None:
    photo, (x, y) = getattr(data, name)(), speed
    whole, mosaic = np.full((256, 256), 255, np.uint8), Mosaic("squa_avg", 8, 8)
    frames = [
        pixelate(np.ascontiguousarray(photo[100 - dy : 356 - dy, 180 - dx : 436 - dx]), whole, mosaic)
        for dx, dy in ((0, 0), speed)
    ]
    found = flow(*frames)[32:-32, 32:-32]
    apart = np.linalg.norm(found - [x, y], axis=2)
    assert apart.mean() < max(0.6 * np.hypot(x, y), 0.7)
