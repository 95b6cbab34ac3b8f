"""What is blended into a picture has the colours and the depth of the picture."""

import av
import numpy as np
import pytest
from colour_blocks import HEIGHT, PICTURE, WIDTH
from skimage import data

from tessera.imaging.encodable import encodable, formats_of
from tessera.imaging.frame import UPRIGHT, VideoFrame, converted, planes_of, rgb
from tessera.imaging.paint import paint

FORMATS = {*formats_of("libx264"), *formats_of("libx265"), *formats_of("ffv1")}
WHOLE = 0, 0, WIDTH, HEIGHT


def blocks(pixel_format: str, matrix: int, stated: int) -> av.VideoFrame:
    # No colour is so strong that rounding moves it out of the range of RGB.
    source = av.VideoFrame.from_ndarray(PICTURE // 2 + np.uint16(1 << 14), format="rgb48le")
    picture = converted("test", source, format=pixel_format, dst_colorspace=matrix, dst_color_range=stated)
    return encodable(picture, pixel_format)


@pytest.mark.parametrize("stated", [1, 2])
@pytest.mark.parametrize("matrix", [1, 5, 9])
@pytest.mark.parametrize("pixel_format", sorted(FORMATS))
def test_what_is_read_from_a_picture_and_painted_into_it_is_the_same(pixel_format: str, matrix: int, stated: int) -> None:
    picture = blocks(pixel_format, matrix, stated)
    before = [plane.astype(int) for plane in planes_of(picture)]
    image = rgb(picture, UPRIGHT, VideoFrame(0, None, 0.0, picture).depth)
    paint(picture, UPRIGHT, WHOLE, image, np.ones((HEIGHT, WIDTH), np.float32))
    # FFmpeg's conversion to RGB of 8 bits is off by up to 4 levels, of which the usual one and a half are corrected.
    bits = picture.format.components[0].bits
    most = 3 if bits == 8 else 1 << max(0, bits - 10)
    for one, other in zip(before, planes_of(picture), strict=True):
        step_y, step_x = HEIGHT // len(one), WIDTH // one.shape[1]
        inner = (slice(8 // step_y, None, 16 // step_y), slice(8 // step_x, None, 16 // step_x))
        assert np.abs(one[inner] - other[inner]).max() <= most


@pytest.mark.parametrize("pixel_format", sorted(FORMATS))
def test_what_has_no_weight_keeps_its_values(pixel_format: str) -> None:
    picture = blocks(pixel_format, 1, 1)
    before = [plane.copy() for plane in planes_of(picture)]
    weight = np.zeros((HEIGHT, WIDTH), np.float32)
    weight[16:32, 16:48] = 0.7
    paint(picture, UPRIGHT, WHOLE, np.full((HEIGHT, WIDTH, 3), 90, np.uint8), weight)
    for one, other in zip(before, planes_of(picture), strict=True):
        step_y, step_x = HEIGHT // len(one), WIDTH // one.shape[1]
        outside = np.ones(one.shape, bool)
        outside[16 // step_y : 32 // step_y, 16 // step_x : 48 // step_x] = False
        assert np.array_equal(one[outside], other[outside])
        assert not np.array_equal(one, other)


@pytest.mark.parametrize("pixel_format", ["yuv444p10le", "yuv420p10le", "gray10le", "gbrp10le", "yuv420p12le"])
@pytest.mark.parametrize("stated", [1, 2])
def test_the_brightest_values_stay_in_range(pixel_format: str, stated: int) -> None:
    picture = blocks(pixel_format, 1, stated)
    paint(picture, UPRIGHT, WHOLE, np.full((HEIGHT, WIDTH, 3), 65535, np.uint16), np.ones((HEIGHT, WIDTH), np.float32))
    assert planes_of(picture)[0].min() > 0.9 * (1 << picture.format.components[0].bits)
    assert max(plane.max() for plane in planes_of(picture)) < 1 << picture.format.components[0].bits


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "yuv420p10le"])
def test_a_photograph_that_is_painted_onto_itself_gets_no_darker(pixel_format: str) -> None:
    source = av.VideoFrame.from_ndarray(data.astronaut(), format="rgb24")
    picture = converted("test", source, format=pixel_format, dst_colorspace=1, dst_color_range=1)
    before = [plane.astype(float) for plane in planes_of(picture)]
    image = rgb(picture, UPRIGHT, VideoFrame(0, None, 0.0, picture).depth)
    paint(picture, UPRIGHT, (0, 0, 512, 512), image, np.ones((512, 512), np.float32))
    level = 2 ** (picture.format.components[0].bits - 8)
    for one, other in zip(before, planes_of(picture), strict=True):
        assert abs((other - one).mean()) < 0.05 * level
