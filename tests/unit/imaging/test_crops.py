"""The crop around any box in any frame."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.imaging.crops import Crop, CropSettings, Fit, clip_shape, crop_box, pad_of

HD = (1080, 1920)
LADA = CropSettings(compat="lada")


@st.composite
def boxes(draw: st.DrawFn) -> tuple[Crop, tuple[int, int]]:
    """Draw a box and the height and width of the frame that it lies in."""
    sides = []
    for _ in range(2):
        length = draw(st.integers(1, 3000))
        low = draw(st.integers(0, length - 1))
        sides.append((length, low, draw(st.integers(low + 1, length))))
    (height, y0, y1), (width, x0, x1) = sides
    return (x0, y0, x1, y1), (height, width)


SETTINGS = st.builds(
    CropSettings,
    border=st.integers(0, 60),
    border_fraction=st.floats(0, 1),
    size=st.integers(1, 600),
    growth=st.floats(0, 3),
    compat=st.sampled_from([None, "lada"]),
)


def sides(box: Crop) -> tuple[int, int]:
    return box[2] - box[0], box[3] - box[1]


@given(boxes(), SETTINGS)
def test_a_crop_contains_its_box_and_lies_in_the_frame(drawn: tuple[Crop, tuple[int, int]], settings: CropSettings) -> None:
    box, (height, width) = drawn
    x0, y0, x1, y1 = crop_box(*drawn, settings)
    assert 0 <= x0 <= box[0] < box[2] <= x1 <= width
    assert 0 <= y0 <= box[1] < box[3] <= y1 <= height


@given(boxes(), SETTINGS)
def test_a_crop_is_as_large_as_the_frame_and_the_growth_allow(
    drawn: tuple[Crop, tuple[int, int]], settings: CropSettings
) -> None:
    box, (height, width) = drawn
    settings = settings.model_copy(update={"compat": None})
    border = max(settings.border, int(max(sides(box)) * settings.border_fraction))
    bordered = [
        min(limit, high + border) - max(0, low - border)
        for low, high, limit in ((box[0], box[2], width), (box[1], box[3], height))
    ]
    target = max(settings.size, *bordered)
    expected = [
        min(target, side + int(settings.growth * side), limit) for side, limit in zip(bordered, (width, height), strict=True)
    ]
    assert list(sides(crop_box(*drawn, settings))) == expected


@given(boxes(), SETTINGS)
def test_a_crop_is_centred_where_there_is_room(drawn: tuple[Crop, tuple[int, int]], settings: CropSettings) -> None:
    box, (height, width) = drawn
    room = 3 * 3000 + 600  # on every side, because a box of 3,000 hardly grows
    placed = box[0] + room, box[1] + room, box[2] + room, box[3] + room
    x0, y0, x1, y1 = crop_box(placed, (height + 2 * room, width + 2 * room), settings)
    for low, high, inner_low, inner_high in ((x0, x1, placed[0], placed[2]), (y0, y1, placed[1], placed[3])):
        assert abs((inner_low - low) - (high - inner_high)) <= 2


@given(boxes())
def test_a_crop_is_never_smaller_than_that_of_lada(drawn: tuple[Crop, tuple[int, int]]) -> None:
    ours, theirs = sides(crop_box(*drawn, CropSettings())), sides(crop_box(*drawn, LADA))
    assert ours[0] >= theirs[0]
    assert ours[1] >= theirs[1]


@pytest.mark.parametrize(
    ("box", "frame", "theirs", "ours"),
    [
        # Results of running Lada 0.11.
        ((500, 400, 600, 500), HD, (451, 351, 649, 549), (422, 322, 678, 578)),
        ((0, 400, 100, 500), HD, (0, 351, 240, 549), (0, 322, 240, 578)),
        ((30, 1000, 110, 1080), HD, (5, 880, 245, 1080), (0, 880, 240, 1080)),
        ((700, 200, 900, 800), HD, (552, 152, 1048, 848), (504, 152, 1096, 848)),
        ((1850, 5, 1920, 25), HD, (1740, 0, 1920, 90), (1740, 0, 1920, 90)),
        ((20, 20, 80, 60), (120, 200), (0, 0, 200, 120), (0, 0, 200, 120)),
    ],
)
def test_crops_are_exact_or_equal_those_of_lada(box: Crop, frame: tuple[int, int], theirs: Crop, ours: Crop) -> None:
    assert crop_box(box, frame, LADA) == theirs
    assert crop_box(box, frame, CropSettings()) == ours


@given(st.lists(boxes(), min_size=1, max_size=5), st.booleans())
def test_a_clip_is_as_small_as_its_crops_allow_and_they_are_centred(drawn: list[Any], is_even: bool) -> None:
    crops = [box for box, _ in drawn]
    shape = clip_shape(crops, is_even=is_even)
    largest = [max(column) for column in zip(*map(sides, crops), strict=True)][::-1]
    assert list(shape) == [side + side % 2 * is_even for side in largest]
    for crop in crops:
        top, bottom, left, right = pad_of(crop, shape)
        assert (top + bottom + crop[3] - crop[1], left + right + crop[2] - crop[0]) == shape
        assert top - bottom in (0, 1)
        assert left - right in (0, 1)


@given(st.tuples(*[st.integers(0, 60)] * 4), st.tuples(*[st.integers(1, 90)] * 2), st.integers(8, 128), st.booleans())
def test_a_crop_beside_the_edge_of_the_frame_gets_no_black_from_its_padding(
    pad: tuple[int, int, int, int], sides: tuple[int, int], size: int, keep_aspect: bool
) -> None:
    fit = Fit((sides[0] + pad[0] + pad[1], sides[1] + pad[2] + pad[3]), size, keep_aspect)
    grey = np.full((*sides, 3), 150, np.uint8)
    square = fit.square(grey, pad)
    assert set(np.unique(square)) <= {0, 150} and (square == 150).any()
    assert (fit.crop(square, pad) == grey).all()
