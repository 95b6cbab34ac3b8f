from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tessera.core.errors import Failed
from tessera.imaging.crops import Crop
from tessera.imaging.encodable import formats_of
from tessera.imaging.frame import rgb
from tessera.imaging.paint import paint
from tessera.imaging.video import read_frames, read_packets
from tessera.imaging.video_copy import ENCODERS, Codec, Encoding, exact_rate
from video_copies import copied, described, ffmpeg

STAMPS = [0, 40, 45, 130, 200, 210, 400, 440]  # milliseconds
TURN = 1 << 16


def original(
    path: Path,
    pixel_format: str = "yuv420p",
    *,
    codec: str = "ffv1",
    size: tuple[int, int] = (64, 48),
    sound: str = "",
    begins: int = 0,
    prepare: Callable[[Any], None] = lambda stream: None,
    stamps: Sequence[int] = STAMPS,
) -> Path:
    """Write a video of noise at irregular times, with a tone if `sound` names a codec."""
    random = np.random.default_rng(0)
    with av.open(path, "w") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, pixel_format
        stream.codec_context.time_base = Fraction(1, 1000)
        prepare(stream)
        if sound:
            tone = container.add_stream(sound, rate=48000)
            frame = av.AudioFrame.from_ndarray(random.normal(0, 0.1, (2, 24000)).astype(np.float32), "fltp", "stereo")
            frame.sample_rate, frame.pts, frame.time_base = 48000, begins * 48, Fraction(1, 48000)
            for part in av.AudioResampler(tone.format, tone.layout, 48000, tone.frame_size or None).resample(frame):
                container.mux(tone.encode(part))
            container.mux(tone.encode())
        for pts in stamps:
            image = random.integers(0, 256, (size[1], size[0], 3), np.uint8)
            picture = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixel_format)
            picture.pts, picture.time_base = pts + begins, Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def without_stamps(path: Path) -> Path:
    """Write a video at 25 frames per second in which two frames have the same time stamp, so that none counts."""
    with av.open(path, "w") as container:
        stream: Any = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(8):
            picture = av.VideoFrame(64, 48, "yuv420p")
            picture.pts, picture.time_base = number, Fraction(1, 25)
            for packet in stream.encode(picture):
                packet.pts = packet.dts = packet.pts - (number == 5)
                container.mux(packet)
    return path


def pictures(path: Path, planes: int) -> list[list[np.ndarray]]:
    """Return the first `planes` planes of each frame of `path`."""
    found = []
    with av.open(path) as container:
        for frame in container.decode(video=0):
            parts = frame.format.components[:planes]
            size = 1 if parts[0].bits == 8 else 2
            rows = [
                np.frombuffer(frame.planes[part.plane], np.uint8).reshape(-1, frame.planes[part.plane].line_size)
                for part in parts
            ]
            found.append([each[: part.height, : part.width * size] for each, part in zip(rows, parts, strict=True)])
    return found


@pytest.mark.parametrize("pixel_format", [each for each in formats_of("libx264") if "j" not in each])
def test_a_copy_has_the_pictures_and_the_times_of_the_original(pixel_format: str, tmp_path: Path) -> None:
    path = original(tmp_path / "a.mkv", pixel_format)
    copy, _ = copied(path, tmp_path)
    planes = 1 if "gray" in pixel_format else 3  # in H.264, grey may get chroma that is 0
    for before, after in zip(pictures(path, planes), pictures(copy, planes), strict=True):
        assert all(np.array_equal(*pair) for pair in zip(before, after, strict=True))
    assert np.abs(read_packets(copy).time * 1000 - STAMPS).max() < 1e-6


def test_without_time_stamps_the_rate_is_that_of_the_original(tmp_path: Path) -> None:
    path = without_stamps(tmp_path / "a.mkv")
    before, after = read_packets(path), read_packets(copied(path, tmp_path)[0])
    assert after.timed
    assert np.abs(before.time - after.time).max() < 1e-6


@pytest.mark.parametrize("turn", [(0, TURN, -TURN, 0), (0, -TURN, TURN, 0), (-TURN, 0, 0, -TURN), (-TURN, 0, 0, TURN)])
def test_a_copy_is_turned_like_the_original(turn: tuple[int, int, int, int], tmp_path: Path) -> None:
    a, b, c, d = turn
    path = original(
        tmp_path / "a.mov",
        codec="libx264",
        prepare=lambda stream: stream.set_display_matrix((a, b, 0, c, d, 0, 0, 0, 1 << 30)),
    )
    copy, _ = copied(path, tmp_path)
    images = [[frame.image() for frame in read_frames(each, read_packets(each))] for each in (path, copy)]
    assert np.array_equal(*images)


@pytest.mark.parametrize(
    ("pixel_format", "size", "becomes"),
    [
        ("bgr0", (64, 48), "yuv444p10le"),
        ("yuv411p", (64, 48), "yuv422p"),
        ("yuva420p", (64, 48), "yuv420p"),
        ("yuv420p", (63, 48), "yuv444p"),
        ("yuv422p12le", (64, 48), "yuv422p10le"),
        ("gray16le", (64, 48), "yuv420p10le"),
    ],
)
def test_other_formats_are_converted_to_the_closest(
    pixel_format: str, size: tuple[int, int], becomes: str, tmp_path: Path
) -> None:
    copy, _ = copied(original(tmp_path / "a.mkv", pixel_format, size=size), tmp_path)
    with av.open(copy) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.pix_fmt, stream.width, stream.height) == (becomes, *size)


def test_colours_are_named_as_in_the_original(tmp_path: Path) -> None:
    def tag(stream: Any) -> None:
        encoder = stream.codec_context
        encoder.color_range, encoder.colorspace, encoder.color_primaries, encoder.color_trc = 1, 9, 9, 16

    copy, _ = copied(original(tmp_path / "a.mkv", "yuv420p10le", codec="libx264", prepare=tag), tmp_path)
    with av.open(copy) as container:
        encoder = container.streams.video[0].codec_context
        assert (encoder.color_range, encoder.colorspace, encoder.color_primaries, encoder.color_trc) == (1, 9, 9, 16)


@pytest.mark.parametrize("codec", ENCODERS)
def test_equal_pictures_give_equal_bytes(codec: Codec, tmp_path: Path) -> None:
    path = original(tmp_path / "a.mp4", codec="libx264", sound="aac")
    encoding = Encoding(codec, 30, "veryfast")
    one = copied(path, tmp_path, encoding)[0].read_bytes()
    assert copied(path, tmp_path, encoding)[0].read_bytes() == one


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_the_light_of_an_hdr_film_is_stated_as_in_the_original(codec: Codec, tmp_path: Path) -> None:
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    params = f"log-level=none:hdr10=1:master-display={display}:max-cll=1000,400"
    source = ["-f", "lavfi", "-t", "0.5", "-i", "testsrc2=s=96x64:r=24", "-pix_fmt", "yuv420p10le", "-c:v", "libx265"]
    ffmpeg(*source, "-x265-params", params, tmp_path / "a.mp4")
    copy, _ = copied(tmp_path / "a.mp4", tmp_path, Encoding(codec))
    for file in (tmp_path / "a.mp4", copy):
        text = ffmpeg("-i", file, "-vf", "showinfo", "-frames:v", "1", "-f", "null", "-", is_loud=True).decode()
        assert "r(0.6800,0.3200) g(0.2650,0.6900) b(0.1500 0.0600) wp(0.3127, 0.3290) min_luminance=0.005000" in text
        assert "MaxCLL=1000, MaxFALL=400" in text


@pytest.mark.parametrize("order", ["top", "bottom"])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_fields_stay_fields(order: str, name: str, tmp_path: Path) -> None:
    fields = ["-vf", f"interlace=scan={order[0]}ff", "-flags", "+ilme+ildct"]
    codec = ["-c:v", "libx264", "-x264opts", f"{order[0]}ff=1"] if name != "a.ts" else ["-field_order", order[0] * 2]
    ffmpeg("-f", "lavfi", "-t", "1", "-i", "testsrc2=s=96x64:r=50", *fields, *codec, tmp_path / name)
    copy, _ = copied(tmp_path / name, tmp_path)
    for file in (tmp_path / name, copy):
        frames = ffmpeg("-i", file, "-vf", "showinfo", "-f", "null", "-", is_loud=True).decode()
        assert frames.count(f" i:{order[0].upper()} ") == 25


def test_fields_that_x264_does_not_take_become_frames(tmp_path: Path) -> None:
    fields = ["-vf", "interlace", "-flags", "+ilme+ildct", "-c:v", "mpeg2video"]
    ffmpeg("-f", "lavfi", "-t", "0.5", "-i", "testsrc2=s=96x66:r=50", *fields, tmp_path / "a.ts")
    copy, _ = copied(tmp_path / "a.ts", tmp_path)
    assert len(read_packets(copy)) == len(read_packets(tmp_path / "a.ts"))


@pytest.mark.parametrize(
    ("rate", "exact"), [(29.97, "30000/1001"), (23.976, "24000/1001"), (25, "25"), (12.5, "25/2"), (5, "5"), (1e-6, "1/1000")]
)
def test_the_rates_of_ntsc_are_exact(rate: float, exact: str) -> None:
    assert exact_rate(rate) == Fraction(exact)


def test_an_odd_size_in_a_format_for_even_ones_is_refused_with_the_fix(tmp_path: Path) -> None:
    path = original(tmp_path / "a.mkv", size=(63, 48))
    with pytest.raises(Failed, match="63 by 48 pixels cannot be encoded in yuv420p: set `codec: h264` and"):
        copied(path, tmp_path, Encoding(pixel_format="yuv420p"))


@pytest.mark.parametrize(("codec", "name", "tag"), [("hevc", "hevc", "hvc1"), ("av1", "av1", "av01"), ("h264", "h264", "avc1")])
def test_other_codecs_play_and_resemble_the_original(codec: Codec, name: str, tag: str, tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-t", "1", "-i", "testsrc2=s=96x64:r=24", "-c:v", "libx264", "-qp", "0", tmp_path / "a.mp4")
    copy, _ = copied(tmp_path / "a.mp4", tmp_path, Encoding(codec, 18, "veryfast"), parts=2)
    assert f"Video: {name}" in described(copy) and tag in described(copy)
    before, after = (np.frombuffer(ffmpeg("-i", each, "-f", "rawvideo", "-"), np.uint8) for each in (tmp_path / "a.mp4", copy))
    assert np.abs(before.astype(int) - after).mean() < 3


@pytest.mark.parametrize("turn", [(TURN, 0, 0, TURN), (0, TURN, -TURN, 0), (0, -TURN, TURN, 0), (-TURN, 0, 0, TURN)])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "gray"])
def test_paint_changes_only_the_values_of_weighted_pixels(
    pixel_format: str, turn: tuple[int, int, int, int], tmp_path: Path
) -> None:
    path = original(tmp_path / "a.mkv", pixel_format, stamps=[0])
    (frame,) = read_frames(path, read_packets(path))
    picture = frame.picture
    assert picture is not None
    upright = rgb(picture, turn)
    height, width = upright.shape[:2]
    box: Crop = (7, 11, 31, 42)
    weight = np.zeros((31, 24), np.float32)
    weight[5:20, 4:15] = 1
    weight[20:22, 4:15] = 0.5
    image = np.full((31, 24, 3), (200, 60, 90), np.uint8)
    picture.make_writable()
    paint(picture, turn, box, image, weight)
    after = rgb(picture, turn)
    # What has full weight, and shares no chroma with other pixels, is the image.
    inner = after[11 + 7 : 11 + 18, 7 + 6 : 7 + 13]
    expected = image[0, 0] if pixel_format != "gray" else np.rint(image[0, 0] @ [0.299, 0.587, 0.114])
    assert np.abs(inner.astype(int) - expected).max() <= 7  # strong colours are clipped when they are read
    outside = np.ones((height, width), bool)
    outside[11 + 3 : 11 + 24, 7 + 2 : 7 + 17] = False
    assert np.array_equal(after[outside], upright[outside])
