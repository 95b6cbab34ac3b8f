"""Regions keep their place in the image when it is scaled."""

import numpy as np
import pytest

from tessera.imaging.polygons import Part, rectangle
from tessera.records.annotation.model import Annotation, ImageAnnotations

OUTER, HOLE = (4.0, 2.0, 20.0, 12.0), (8.0, 4.0, 14.0, 8.0)


def regions() -> ImageAnnotations:
    mask = np.zeros((16, 24), np.uint8)
    mask[2:12, 4:20] = 255
    mask[4:8, 8:14] = 0
    part = Part(rectangle(OUTER), (rectangle(HOLE),))
    box = Annotation("nsfw", None, None, OUTER)
    return ImageAnnotations(
        "a", 24, 16, (Annotation.of_parts("nsfw", (part,), score=0.5), Annotation.of_mask("nsfw", mask), box)
    )


@pytest.mark.parametrize("factor", [0.5, 1, 3])
def test_a_scaled_region_covers_the_same_part_of_the_image(factor: float) -> None:
    width, height = round(24 * factor), round(16 * factor)
    scaled = regions().scaled(width, height)
    assert (scaled.key, scaled.width, scaled.height) == ("a", width, height)
    polygon, mask, _ = scaled.annotations
    assert polygon.polygons is not None
    assert [ring.tolist() for ring in (polygon.polygons[0].outer, *polygon.polygons[0].holes)] == [
        (rectangle(each) * factor).tolist() for each in (OUTER, HOLE)
    ]
    assert polygon.score == 0.5
    for region in scaled.annotations:
        assert np.abs(np.array(region.box) - np.array(OUTER) * factor).max() <= 1
    y, x = np.mgrid[:height, :width] / factor
    expected = (x >= 4) & (x < 20) & (y >= 2) & (y < 12) & ~((x >= 8) & (x < 14) & (y >= 4) & (y < 8))
    assert np.array_equal(mask.mask(height, width) > 0, expected)


def test_a_region_of_one_pixel_is_not_lost() -> None:
    mask = np.zeros((400, 600), np.uint8)
    mask[123, 77] = 255
    (region,) = ImageAnnotations("a", 600, 400, (Annotation.of_mask("nsfw", mask),)).scaled(60, 40).annotations
    assert region.mask(40, 60).nonzero() == ([12], [7])
