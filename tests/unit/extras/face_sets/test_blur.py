"""Sharpness is the measure of Narvekar and Karam, and a blurred or shaken picture is less sharp."""

import cv2
import numpy as np
import pytest

import slow_faces
from face_pictures import portrait
from tessera.demo.photographs import photograph
from tessera.extras.face_sets.blur import laplacian_variance, sharp_edges
from tessera.imaging.sharpness import luma

PICTURES = {
    "face": luma(portrait(128, np.random.default_rng(1))),
    "sharp": luma(photograph("chelsea"))[100:228, 100:260],
    "blurred": cv2.GaussianBlur(luma(photograph("chelsea")), (0, 0), 1.5)[100:228, 100:260],
    "faint": (luma(photograph("coffee"))[100:250, 100:228] // 8 + 100).astype(np.uint8),
    "half black": luma(photograph("astronaut"))[64:192, 160:288] * (np.arange(128) < 64).astype(np.uint8),
    "noise": np.random.default_rng(0).integers(0, 256, (70, 140), dtype=np.uint8),
    "flat": np.full((128, 128), 7, np.uint8),
    "one column": np.full((128, 1), 7, np.uint8),
    "smaller than a block": luma(photograph("chelsea"))[:63, :200],
}


@pytest.mark.parametrize("name", PICTURES)
def test_the_fraction_of_sharp_edges_is_that_of_the_paper(name: str) -> None:
    assert sharp_edges(PICTURES[name]) == pytest.approx(slow_faces.sharp_edges(PICTURES[name]), abs=1e-12)


def test_the_pictures_differ() -> None:
    names = "face", "sharp", "blurred", "faint", "noise"
    assert len({round(slow_faces.sharp_edges(PICTURES[name]), 3) for name in names}) == len(names)


def test_a_blurred_picture_has_fewer_sharp_edges() -> None:
    values = [sharp_edges(cv2.GaussianBlur(PICTURES["sharp"], (0, 0), sigma)) for sigma in (0.3, 0.6, 1, 2)]
    assert values == sorted(values, reverse=True) and values[0] > 2 * values[-1]


def test_motion_lowers_the_variance_of_the_laplacian() -> None:
    # https://github.com/iperov/DeepFaceLab/issues/878
    image = photograph("chelsea")[100:228, 100:260]
    shaken = cv2.blur(image, (9, 1))
    assert laplacian_variance(shaken) < laplacian_variance(image) / 2


def test_the_laplacian_is_that_of_the_second_derivatives_of_sobel() -> None:
    image = portrait(64, np.random.default_rng(2))
    across, down = (cv2.getDerivKernels(*orders, 11) for orders in ((2, 0), (0, 2)))
    parts = []
    for channel in range(3):
        padded = np.pad(image[:, :, channel].astype(float), 5, mode="reflect")
        for y in range(64):
            for x in range(64):
                part = padded[y : y + 11, x : x + 11]
                parts.append(sum((ky.T @ part @ kx).item() for kx, ky in (across, down)))
    assert laplacian_variance(image) == pytest.approx(np.var(parts), rel=1e-5)
