"""The whole of a mosaic, of which an outline shows a part."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import data

from tessera.imaging.masks import Patch
from tessera.imaging.mosaic.blocks import Grid, Mosaic, pixelate
from tessera.imaging.mosaic.extent import whole_mosaic

PHOTOS: dict[str, Callable[[], Any]] = {"astronaut": data.astronaut, "coffee": data.coffee, "chelsea": data.chelsea}


def grey(image: np.ndarray, quality: int = 90) -> np.ndarray:
    coded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE))


def box_mask(shape: tuple[int, ...], x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros(shape[:2], np.uint8)
    mask[y0:y1, x0:x1] = 255
    return mask


def drawn(patch: Patch, shape: tuple[int, ...]) -> np.ndarray:
    return patch.inside((0, 0, shape[1], shape[0])) > 0


@pytest.mark.parametrize("block", [8, 12, 20])
@pytest.mark.parametrize("photo", PHOTOS)
def test_a_mosaic_of_which_a_part_was_found_is_outlined_as_a_whole(photo: str, block: int) -> None:
    image = PHOTOS[photo]()
    mask = box_mask(image.shape, 120, 60, 320, 260)
    covered = grey(pixelate(image, mask, Mosaic("squa_avg", block, block, origin=(3, 5))))
    part = Patch(np.full((150, 110), 255, np.uint8), 130, 80)
    whole = drawn(whole_mosaic(covered, part, Grid(9.0, 3, 5, block, block)), image.shape)
    true = mask > 0
    assert (whole & true).sum() > 0.8 * true.sum()
    assert (whole & ~cv2.dilate(mask, np.ones((2 * block + 1,) * 2)).astype(bool)).sum() < 0.02 * true.sum()


@pytest.mark.parametrize("photo", PHOTOS)
def test_next_to_nothing_is_added_where_there_is_no_mosaic(photo: str) -> None:
    image = grey(PHOTOS[photo]())
    part = Patch(np.full((100, 100), 255, np.uint8), 150, 100)
    whole = drawn(whole_mosaic(image, part, Grid(3.0, 150, 100, 10, 10)), image.shape)
    assert whole.sum() < 1.2 * 100 * 100


def test_another_mosaic_is_not_added() -> None:
    image = data.coffee()
    mask = box_mask(image.shape, 100, 100, 196, 196) | box_mask(image.shape, 268, 100, 364, 196)
    covered = grey(pixelate(image, mask, Mosaic("squa_avg", 12, 12)))
    whole = drawn(
        whole_mosaic(covered, Patch(np.full((90, 90), 255, np.uint8), 103, 103), Grid(9.0, 0, 0, 12, 12)), image.shape
    )
    assert not whole[:, 264:].any()


@given(st.integers(-20, 480), st.integers(-20, 360), st.floats(5, 40), st.floats(5, 40), st.integers(1, 90), st.integers(1, 90))
def test_what_was_found_stays_found(x: int, y: int, width: float, height: float, wide: int, tall: int) -> None:
    image = grey(data.coffee())
    left, top = max(x, 0), max(y, 0)
    patch = Patch(np.full((min(tall, image.shape[0] - top), min(wide, image.shape[1] - left)), 255, np.uint8), left, top)
    whole = whole_mosaic(image, patch, Grid(3.0, x / 3, y / 7, width, height))
    assert drawn(whole, image.shape)[drawn(patch, image.shape)].all()
    x0, y0, x1, y1 = whole.box
    assert x0 >= 0 and y0 >= 0 and x1 <= image.shape[1] and y1 <= image.shape[0]


def test_blocks_that_are_too_small_and_empty_outlines_change_nothing() -> None:
    image = grey(data.coffee())
    patch = Patch(np.full((50, 50), 255, np.uint8), 10, 10)
    assert whole_mosaic(image, patch, Grid(3.0, 0, 0, 4, 12)) is patch
    empty = Patch(np.zeros((0, 0), np.uint8), 0, 0)
    assert whole_mosaic(image, empty, Grid(3.0, 0, 0, 12, 12)) is empty
