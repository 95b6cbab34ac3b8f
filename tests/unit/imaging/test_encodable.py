"""What is encoded looks like the original, whatever format it had and whatever the encoder takes."""

from pathlib import Path

import av
import numpy as np
import pytest
from av.video.format import names
from colour_blocks import HEIGHT, PICTURE, WIDTH, decode_with_ffmpeg, film_of_blocks

from tessera.core.errors import Failed
from tessera.imaging.encodable import closest_format, encodable, formats_of
from tessera.imaging.frame import VideoFrame, converted, planes_of, require_colours
from video_copies import copied

ENCODERS = "libx264", "libx265", "libsvtav1", "ffv1"


@pytest.mark.parametrize(
    ("codec", "arguments", "suffix", "exact"),
    [
        ("libx264rgb", ["-qp", 0], ".mkv", True),
        ("png", ["-pix_fmt", "rgb24"], ".mov", True),
        ("png", ["-pix_fmt", "rgba"], ".mov", True),
        ("png", ["-pix_fmt", "pal8"], ".mov", True),
        ("qtrle", ["-pix_fmt", "rgb24"], ".mov", True),
        ("qtrle", ["-pix_fmt", "rgb555be"], ".mov", True),
        ("ffv1", ["-pix_fmt", "gbrp"], ".mkv", True),
        ("ffv1", ["-pix_fmt", "gbrp12le"], ".mkv", False),
        ("ffv1", ["-vf", "format=yuv444p,setparams=colorspace=gbr"], ".mkv", True),
        ("ffv1", ["-vf", "format=gbrp,setparams=colorspace=bt709:range=tv"], ".mkv", True),
        ("ffv1", ["-pix_fmt", "gray"], ".mkv", True),
        ("rawvideo", ["-pix_fmt", "gray"], ".avi", True),
        ("rawvideo", ["-pix_fmt", "monow"], ".nut", True),
        ("mjpeg", ["-pix_fmt", "yuvj444p"], ".avi", True),
        ("ffv1", ["-vf", "scale=out_color_matrix=bt2020,format=yuv444p12le,setparams=colorspace=bt2020nc"], ".mkv", False),
    ],
)
def test_a_film_that_is_encoded_again_looks_to_ffmpeg_as_before(
    codec: str, arguments: list[object], suffix: str, exact: bool, tmp_path: Path
) -> None:
    path = film_of_blocks(tmp_path / f"a{suffix}", codec, *arguments)
    copy, _ = copied(path, tmp_path)
    assert np.abs(decode_with_ffmpeg(copy) - decode_with_ffmpeg(path)).max() <= (0 if exact else 1)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_picture_looks_the_same_in_what_an_encoder_takes(encoder: str) -> None:
    source = av.VideoFrame.from_ndarray(PICTURE, format="rgb48le")
    formats = formats_of(encoder)
    count = 0
    for name in names:
        for matrix in (0, 1, 2, 9):
            try:
                picture = converted("test", source, format=name, dst_colorspace=matrix)
                require_colours(picture)
            except (Failed, av.error.ArgumentError):
                continue  # a format that FFmpeg does not write or does not read
            if picture.format.components[0].bits < 4:
                continue  # so much noise that subsampled chroma is out of range
            picture.colorspace = matrix
            before = VideoFrame(0, None, 0.0, picture).image()
            made = encodable(picture, closest_format(picture, formats))
            assert made.format.name in formats
            kind, deep = made.format, picture.format.components[0].bits > 8
            assert not deep or kind.components[0].bits >= 10 or name.endswith(("9le", "9be"))
            # FFmpeg dithers coarse colours, so that the mean of a block counts. Its conversion to RGB is off by up to 4 levels.
            inner = [blocks.mean(axis=(1, 3)) for blocks in map(inside, (before, VideoFrame(0, None, 0.0, made).image()))]
            assert np.abs(inner[1] - inner[0]).max() <= 5, (name, matrix, kind.name)
            count += 1
    assert count > 500


def inside(image: np.ndarray) -> np.ndarray:
    """Return the inner pixels of each block of `image`."""
    return image.reshape(HEIGHT // 16, 16, WIDTH // 16, 16, 3)[:, 4:12, :, 4:12]


@pytest.mark.parametrize(
    ("pixel_format", "size", "encoder", "becomes"),
    [
        ("yuv420p", (64, 48), "libx264", "yuv420p"),
        ("yuv420p", (63, 48), "libx264", "yuv444p"),
        ("yuv420p", (64, 47), "libx264", "yuv422p"),
        ("yuvj420p", (63, 48), "libx264", "yuvj444p"),
        ("nv12", (64, 48), "libx264", "yuv420p"),
        ("p010le", (64, 48), "libx264", "yuv420p10le"),
        ("yuva420p", (64, 48), "libx265", "yuv420p"),
        ("yuv411p", (64, 48), "libx264", "yuv422p"),
        ("yuv422p12le", (64, 48), "libx264", "yuv422p10le"),
        ("yuv422p12le", (64, 48), "libx265", "yuv422p12le"),
        ("yuv444p16le", (64, 48), "libsvtav1", "yuv420p10le"),
        ("gray16le", (64, 48), "libx264", "gray10le"),
        ("gray", (63, 47), "libx264", "gray"),
        ("bgr0", (64, 48), "libx264", "yuv444p10le"),
        ("gbrp", (64, 48), "libx265", "yuv444p10le"),
        ("rgb24", (64, 48), "libsvtav1", "yuv420p10le"),
        ("rgb4_byte", (64, 48), "libx264", "yuv444p10le"),
    ],
)
def test_the_format_that_loses_least_is_taken(pixel_format: str, size: tuple[int, int], encoder: str, becomes: str) -> None:
    picture = av.VideoFrame(*size, pixel_format)
    made = encodable(picture, closest_format(picture, formats_of(encoder)))
    assert (made.format.name, made.width, made.height) == (becomes, *size)


def test_a_side_that_no_format_has_is_refused() -> None:
    with pytest.raises(Failed, match="odd size: 63 by 48 pixels cannot be encoded in yuv420p, yuv420p10le: set `codec"):
        closest_format(av.VideoFrame(63, 48, "yuv420p"), formats_of("libsvtav1"))


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "gray", "gray10le"])
def test_the_values_of_a_picture_that_keeps_its_format_do_not_change(pixel_format: str) -> None:
    picture = converted("test", av.VideoFrame.from_ndarray(PICTURE, format="rgb48le"), format=pixel_format)
    before = [plane.copy() for plane in planes_of(picture)]
    assert encodable(picture, closest_format(picture, formats_of("libx264"))) is picture
    assert all(np.array_equal(*planes) for planes in zip(before, planes_of(picture), strict=True))
