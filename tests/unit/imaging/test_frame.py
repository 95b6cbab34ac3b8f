"""Pictures of videos are shown upright and in the colours that FFmpeg gives them, whatever the video states."""

import io
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.format import names
from imageio_ffmpeg import get_ffmpeg_exe
from PIL import Image, ImageOps

from tessera.core.errors import Failed
from tessera.imaging.frame import VideoFrame, planes_of, require_colours, small_planes
from tessera.imaging.probe import probe
from tessera.imaging.video import read_frames, read_packets

# Blocks of one colour each, so that the way in which chroma is enlarged does not count in their middle; 16 bit.
BLOCKS = np.random.default_rng(0).integers(0, 65536, (4, 6, 3), np.uint16)
BLOCKS[0] = 65535 * np.array([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1]])
HEIGHT, WIDTH = 64, 96
DATA = BLOCKS.repeat(16, 0).repeat(16, 1).tobytes()
RAW = "-f", "rawvideo", "-pix_fmt", "rgb48le", "-video_size", f"{WIDTH}x{HEIGHT}", "-i", "-"
# The weights of red and blue, by the number of the matrix (ITU-T H.273). FFmpeg takes BT.601 where none is stated (2), and
# where YUV is said to be RGB (0).
BT601 = 0.299, 0.114
WEIGHTS = {
    **{1: (0.2126, 0.0722), 4: (0.30, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593)},
    **dict.fromkeys([0, 2, 5, 6], BT601),
}


def ffmpeg(*arguments: object, data: bytes = b"") -> bytes:
    """Run FFmpeg, which is not the one that the library has, and return what it writes."""
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, input=data, check=True, capture_output=True).stdout


def decoded(path: Path) -> VideoFrame:
    """Return the first frame of the video `path`."""
    return next(read_frames(path, read_packets(path)))


def middles(image: np.ndarray) -> np.ndarray:
    """Return the colours in the middle of the blocks of `image`."""
    return image[8::16, 8::16].astype(int)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_with_side_data_of_an_unknown_type_are_shown_upright(orientation: int, tmp_path: Path) -> None:
    # FFmpeg passes EXIF on with each picture, as side data of a type that PyAV 18.1 does not know.
    blocks = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    exif, file, path = Image.Exif(), io.BytesIO(), tmp_path / "a.avi"
    exif[0x010F], exif[0x0112] = "Maker", orientation
    Image.fromarray(blocks).save(file, "JPEG", exif=exif, quality=95, subsampling=0)
    ffmpeg("-f", "image2pipe", "-c:v", "mjpeg", "-i", "-", "-c", "copy", path, data=3 * file.getvalue())
    shown = np.asarray(ImageOps.exif_transpose(Image.open(file)))
    luma = decoded(path).luma()
    assert np.abs(luma.astype(int) - cv2.cvtColor(shown, cv2.COLOR_RGB2GRAY)).max() <= 3
    images = [frame.image() for frame in read_frames(path, read_packets(path))]
    assert len(images) == 3
    assert all(image.shape == shown.shape and np.abs(image.astype(int) - shown).max() <= 1 for image in images)


def test_threads_may_share_a_picture() -> None:
    values, stated = np.random.default_rng(0).integers(64, 900, (128, 128), np.uint16), (9, 16, 9)

    def shared() -> av.VideoFrame:
        picture = av.VideoFrame(128, 128, "yuv420p10le")
        for plane in planes_of(picture):
            plane[:] = values[: len(plane), : plane.shape[1]]
        picture.color_primaries, picture.color_trc, picture.colorspace = stated
        return picture

    def planes(frame: VideoFrame) -> np.ndarray:
        return frame.planes((0, 0, 64, 64))

    expected = planes(VideoFrame(0, None, 0.0, shared()))
    with ThreadPoolExecutor(4) as pool:
        for _ in range(500):
            picture = shared()
            made = list(pool.map(planes, [VideoFrame(0, None, 0.0, picture)] * 4))
            assert all(np.array_equal(each, expected) for each in made)
            assert (picture.color_primaries, picture.color_trc, picture.colorspace) == stated


def test_parts_of_interlaced_pictures_have_the_colours_of_the_whole_converted_by_field(tmp_path: Path) -> None:
    path, size = tmp_path / "a.mp4", (48, 64, 3)
    tags = ("-x264-params", "tff=1:colorprim=bt709:transfer=bt709:colormatrix=bt709", "-color_range", "tv")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:d=0.2", "-c:v", "libx264", "-flags", "+ildct+ilme", *tags, path)
    by_field = ("-vf", "scale=interl=1:flags=bilinear,format=rgb24", "-frames:v", 1, "-f", "rawvideo", "-")
    expected = np.frombuffer(ffmpeg("-i", path, *by_field), np.uint8).reshape(size)
    frame = next(read_frames(path, read_packets(path)))
    assert frame.picture is not None and frame.picture.interlaced_frame
    assert np.array_equal(frame.image(), expected)
    assert np.array_equal(frame.image((5, 7, 41, 36)), expected[7:36, 5:41])
    whole, part = frame.planes((0, 0, 64, 48)), frame.planes((5, 7, 41, 36))
    assert np.abs(part.astype(int) - whole[:, 7:36, 5:41]).max() <= 1


@pytest.mark.parametrize(
    ("codec", "pixel_format", "suffix"),
    [
        *(("rawvideo", each, ".nut") for each in ("yuv420p", "nv12", "nv21", "uyvy422", "yuv440p", "yuv411p", "yuv410p")),
        *(("rawvideo", each, ".nut") for each in ("yuv420p12le", "yuv422p16be", "yuva444p10le", "y210le", "xv30le", "vuya")),
        *(("rawvideo", each, ".nut") for each in ("gray", "gray16be", "ya8", "monow", "pal8", "rgb8", "bgr4_byte", "xyz12le")),
        *(("rawvideo", each, ".nut") for each in ("rgb24", "bgra", "argb", "rgb565le", "rgb48be", "gbrap16le", "gbrpf32le")),
        *(("mjpeg", "yuvj420p", ".avi"), ("mjpeg", "yuvj422p", ".mov"), ("utvideo", "yuv422p", ".mkv")),
        *(("prores_ks", "yuva444p10le", ".mov"), ("v210", "yuv422p10le", ".mov"), ("magicyuv", "gbrp", ".avi")),
        *(("libx264", "gray", ".mp4"), ("libx264", "yuv444p10le", ".mp4"), ("libx264rgb", "rgb24", ".mp4")),
        *(("libx265", "gbrp10le", ".mkv"), ("libx265", "gray12le", ".mkv"), ("libvpx-vp9", "yuv420p10le", ".webm")),
        *(("png", "rgb24", ".mov"), ("png", "pal8", ".mov"), ("png", "gray", ".mkv"), ("png", "rgb48be", ".mkv")),
        *(("qtrle", "argb", ".mov"), ("qtrle", "rgb555be", ".mov"), ("ffv1", "gbrp12le", ".mkv"), ("gif", "pal8", ".gif")),
    ],
)
def test_films_of_every_pixel_format_have_the_colours_of_ffmpeg(
    codec: str, pixel_format: str, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"a{suffix}"
    ffmpeg(*RAW, "-pix_fmt", pixel_format, "-c:v", codec, path, data=DATA)
    frame = decoded(path)
    for image, flags in ((frame.image(), "bilinear"), (frame.thumbnail(WIDTH, HEIGHT), "fast_bilinear")):
        shown = ffmpeg("-i", path, "-frames:v", 1, "-vf", f"scale=flags={flags},format=rgb24", "-f", "rawvideo", "-")
        difference = np.abs(image.astype(int) - np.frombuffer(shown, np.uint8).reshape(image.shape))
        assert difference.max() <= 1


@pytest.mark.parametrize("pixel_format", ["yuv444p", "yuv444p10le", "yuvj444p"])
@pytest.mark.parametrize("stated", [0, 1, 2])
@pytest.mark.parametrize("matrix", WEIGHTS)
def test_colours_follow_the_matrix_and_the_range(matrix: int, stated: int, pixel_format: str) -> None:
    more = 4 if "10" in pixel_format else 1
    picture = av.VideoFrame(WIDTH, HEIGHT, pixel_format)
    picture.colorspace, picture.color_range = matrix, stated
    colours = BLOCKS / 65535
    is_full = stated == 2 or pixel_format == "yuvj444p"
    for plane, value in zip(planes_of(picture), coded(colours, *WEIGHTS[matrix], is_full=is_full), strict=True):
        plane[:] = np.rint(more * value).clip(0, 256 * more - 1).repeat(16, 0).repeat(16, 1)
    frame = VideoFrame(0, None, 0.0, picture)
    assert np.abs(middles(frame.image()) - 255 * colours).max() < 2.5
    expected = coded(colours, 0.2126, 0.0722, is_full=False)
    planes = [middles(plane) for plane in frame.planes((0, 0, WIDTH, HEIGHT))]
    assert np.abs(np.stack(planes) - expected).max() < 2.5
    luma, *chroma = small_planes(picture, WIDTH, HEIGHT)
    assert np.abs(np.stack([middles(luma), *(each[4::8, 4::8] for each in chroma)]) - expected).max() < 2.5


def coded(colours: np.ndarray, red: float, blue: float, *, is_full: bool) -> np.ndarray:
    """Return Y, Cb and Cr with 8 bits, not rounded, of `colours` from 0 to 1 (ITU-T H.273, equations 38 to 46)."""
    y = colours @ [red, 1 - red - blue, blue]
    cb, cr = (colours[..., 2] - y) / (2 - 2 * blue), (colours[..., 0] - y) / (2 - 2 * red)
    lumas, chromas, black = (255, 255, 0) if is_full else (219, 224, 16)
    return np.stack([lumas * y + black, chromas * cb + 128, chromas * cr + 128])


@pytest.mark.parametrize("matrix", [0, 1, 2, 3, 8, 9, 10, 14, 17])
def test_pictures_whose_colours_are_supported_have_every_kind_of_image_and_others_none(matrix: int) -> None:
    refused = set()
    for name in names:
        try:
            picture = av.VideoFrame(64, 48, name)
        except av.error.ArgumentError:
            continue  # the picture would lie in the memory of a GPU
        for plane in picture.planes:
            plane.update(bytes(plane.buffer_size))
        picture.colorspace = matrix
        frame = VideoFrame(0, None, 0.0, picture)
        ways: list[Callable[[], object]] = [
            lambda picture=picture: require_colours(picture),
            frame.image,
            lambda frame=frame: frame.planes((0, 0, 64, 48)),
            lambda frame=frame: frame.thumbnail(64, 48),
            lambda picture=picture: small_planes(picture, 32, 24),
        ]
        failed = [fails(way) for way in ways]
        assert len(set(failed)) == 1, name
        if failed[0]:
            refused.add(name)
    usual = {"yuv420p", "yuvj420p", "nv12", "yuv422p10le", "yuv444p"}
    assert refused & usual == (usual if matrix in (3, 8, 10, 14, 17) else set())
    assert not refused & {"gray", "rgb24", "gbrp", "pal8", "rgb555le"}
    assert {"rgb555be", "yaf32le"} < refused


def fails(way: Callable[[], object]) -> bool:
    """Return whether `way` fails with the reason that the colours are not supported."""
    try:
        way()
    except Failed as error:
        return error.reason == "unsupported colours"
    return False


@pytest.mark.parametrize(
    ("pixel_format", "tags", "named"),
    [
        ("yuv420p", "colorspace=ycgco", "yuv420p with the colour matrix YCgCo;"),
        ("yuv444p10le", "colorspace=ictcp:color_trc=smpte2084:color_primaries=bt2020", "matrix ICtCp;"),
        (
            "yuv420p10le",
            "colorspace=bt2020c:color_trc=bt2020-10:color_primaries=bt2020",
            "matrix BT.2020 with constant luminance;",
        ),
        ("rgb565be", "range=pc", "rgb565be with"),
    ],
)
def test_films_with_other_colours_are_refused_and_the_fix_helps(
    pixel_format: str, tags: str, named: str, tmp_path: Path
) -> None:
    path, copy = tmp_path / ("a.nut" if "rgb" in pixel_format else "a.mkv"), tmp_path / "copy.mkv"
    codec = "rawvideo" if "rgb" in pixel_format else "ffv1"
    ffmpeg(*RAW, "-vf", f"format={pixel_format},setparams={tags}", "-c:v", codec, path, data=DATA)
    with pytest.raises(Failed, match="unsupported colours") as refused:
        probe(path, "packets")
    assert named in refused.value.detail
    fix = refused.value.detail.partition("ffmpeg -i VIDEO ")[2].removesuffix(" COPY").split()
    ffmpeg("-i", path, *fix, "-c:v", "ffv1", copy)
    assert probe(copy, "packets").frames == 1


def test_the_fix_for_ycgco_gives_its_colours(tmp_path: Path) -> None:
    path, copy = tmp_path / "a.mkv", tmp_path / "copy.mkv"
    # As `zscale` makes it. ITU-T H.273, equations 53 to 55.
    tags = "format=gbrp16le,setparams=colorspace=gbr:color_trc=bt709:color_primaries=bt709:range=pc"
    ffmpeg(*RAW, "-vf", f"{tags},zscale=matrix=ycgco:range=limited,format=yuv444p10le", "-c:v", "ffv1", path, data=DATA)
    ffmpeg("-i", path, "-vf", "zscale=matrix=709", "-c:v", "ffv1", copy)
    assert np.abs(middles(decoded(copy).image()) - BLOCKS / 257).max() < 2.5
