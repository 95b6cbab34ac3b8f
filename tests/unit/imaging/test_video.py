"""Every index gives the right frame, however the video is stored and however few frames are read."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from imageio_ffmpeg import get_ffmpeg_exe

from tessera.core.errors import Failed
from tessera.imaging import video
from tessera.imaging.frame import Depth, VideoFrame
from tessera.imaging.probe import probe
from tessera.imaging.video import Packets, read_frames, read_packets

MEDIA = Path(__file__).parents[4] / "shared" / "media"
needs_media = pytest.mark.skipif(not MEDIA.is_dir(), reason="real footage, ../shared/media, is not here")
FRAMES = 60


def pictures(count: int = FRAMES, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Return pictures that differ clearly: a texture that moves, and the number of the frame as bright squares."""
    texture = np.random.default_rng(7).integers(40, 160, (height // 8 + 1, (width + 3 * count) // 8 + 1, 3), np.uint8)
    texture = texture.repeat(8, 0).repeat(8, 1)
    found = []
    for number in range(count):
        picture = texture[:height, 3 * number : 3 * number + width].copy()
        for bit in range(6):
            picture[:8, 8 * bit : 8 * bit + 8] = 235 if number >> bit & 1 else 20
        found.append(picture)
    return found


def number_of(image: np.ndarray) -> int:
    """Return the number that is written into a picture made here."""
    return sum(1 << bit for bit in range(6) if image[2:6, 8 * bit + 2 : 8 * bit + 6].mean() > 128)


def write(
    path: Path,
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    pts: list[int] | None = None,
    images: list[np.ndarray] | None = None,
    container_options: dict[str, str] | None = None,
    prepare: Callable[[Any], None] = lambda stream: None,
    **options: str,
) -> Path:
    """Write a small video; `pts` are milliseconds."""
    images = images or pictures()
    base = Fraction(1, 1000) if pts else Fraction(1, 25)
    with av.open(f"file:{path}", "w", container_options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = base
        prepare(stream)
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixel_format)
            frame.pts, frame.time_base = (pts[number] if pts else number), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def add_silence(container: Any) -> None:
    sound = container.add_stream("aac", rate=8000, layout="mono")
    silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
    silence.rate = 8000
    container.mux(sound.encode(silence))
    container.mux(sound.encode())


X264 = {"g": "12", "keyint_min": "12", "sc_threshold": "0", "bf": "3", "crf": "10", "preset": "veryfast"}
KINDS: dict[str, dict[str, Any]] = {
    "closed.mp4": X264,
    "open.mp4": X264 | {"x264-params": "open-gop=1"},
    "open.mkv": X264 | {"x264-params": "open-gop=1"},
    "open.ts": X264 | {"x264-params": "open-gop=1"},
    "fragments.mp4": X264 | {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "live.mkv": X264 | {"container_options": {"live": "1"}},
    "hevc.mp4": {"codec": "libx265", "x265-params": "keyint=12:bframes=3:open-gop=1:log-level=none", "crf": "10"},
    "vp8.webm": {"codec": "libvpx", "g": "12", "auto-alt-ref": "1", "lag-in-frames": "12", "b": "2M"},
    "vp9.webm": {"codec": "libvpx-vp9", "g": "12", "auto-alt-ref": "1", "lag-in-frames": "12", "crf": "10", "b": "0"},
    "still.mp4": X264 | {"bf": "0"},
    "intra.mov": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
    "bframes.avi": {"codec": "mpeg4", "g": "12", "bf": "2", "b": "4M"},
    "x264.avi": X264,
    "mpeg2.mpg": {"codec": "mpeg2video", "g": "12", "bf": "2", "b": "4M"},
    "refreshed.mp4": X264 | {"bf": "0", "x264-params": "intra-refresh=1"},
    "refreshed.ts": X264 | {"bf": "0", "x264-params": "intra-refresh=1"},
    "one keyframe.mp4": X264 | {"g": "1000", "keyint_min": "1000"},
    "variable.mkv": X264 | {"pts": np.cumsum(np.random.default_rng(0).integers(1, 200, FRAMES)).tolist()},
}


@pytest.fixture(scope="module")
def video_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Packets, list[np.ndarray]]]:
    """A video of a kind, its packets, and all its pictures, decoded in the obvious way."""
    folder = tmp_path_factory.mktemp("videos")

    @cache
    def made(kind: str) -> tuple[Path, Packets, list[np.ndarray]]:
        path = write(folder / kind, **KINDS[kind])
        with av.open(str(path)) as container:
            plain = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        return path, read_packets(path), plain

    return made


@pytest.mark.parametrize("kind", KINDS)
def test_all_frames_come_in_order_of_presentation(kind: str, video_of: Any) -> None:
    path, packets, plain = video_of(kind)
    frames = list(read_frames(path, packets))
    assert [frame.index for frame in frames] == list(range(FRAMES)) == [number_of(image) for image in plain]
    assert all(np.array_equal(frame.image(), image) for frame, image in zip(frames, plain, strict=True))


@pytest.mark.parametrize("leap", [1, 256])
@pytest.mark.parametrize("kind", KINDS)
@hypothesis_settings(max_examples=12, deadline=None)
@given(wanted=st.sets(st.integers(0, FRAMES - 1), max_size=5))
def test_some_frames_are_the_same_as_when_all_are_read(kind: str, leap: int, wanted: set[int], video_of: Any) -> None:
    path, packets, plain = video_of(kind)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(video, "LEAP", leap)
        frames = list(read_frames(path, packets, wanted))
    assert [frame.index for frame in frames] == sorted(wanted)
    assert all(np.array_equal(frame.image(), plain[frame.index]) for frame in frames)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 3, 100])
def test_parts_hold_every_frame_once_and_each_begins_at_a_keyframe(
    kind: str, count: int, video_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "SHORT", 1)
    _, packets, _ = video_of(kind)
    divided = video.parts(packets, count)
    assert len(divided) <= count
    assert [index for part in divided for index in part] == list(range(FRAMES))
    assert all(packets.keyframe[part.start] for part in divided)
    if count == 3 and packets.timed and packets.keyframe.sum() > 3:
        assert len(divided) == 3


def test_only_what_the_wanted_frames_need_is_decoded(video_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path, packets, _ = video_of("still.mp4")
    asked: list[tuple[int, int]] = []
    decode = video._Reader.decode
    monkeypatch.setattr(video._Reader, "decode", lambda self, *places: asked.append(places[:2]) or decode(self, *places))
    assert len(list(read_frames(path, packets, [0, 14, 16, 23, 24, 50]))) == 6
    assert asked == [(0, 0), (12, 24), (48, 50)]


X265 = ["-c:v", "libx265", "-x265-params", "log-level=none:bframes=4:b-pyramid=1:keyint=30"]
# By name, the arguments of FFmpeg, and whether some frames are referred to by no other.
REFERENCES: dict[str, tuple[list[str], bool]] = {
    "pyramid.mp4": (["-c:v", "libx264", "-bf", "3", "-x264-params", "b-pyramid=normal", "-g", "30"], True),
    "open.ts": (["-c:v", "libx264", "-bf", "4", "-g", "20", "-x264-params", "open-gop=1:b-adapt=0"], True),
    "fields.mkv": (["-c:v", "libx264", "-bf", "2", "-flags", "+ildct+ilme", "-x264-params", "tff=1"], True),
    "hevc.mkv": (X265, True),
    "no_b.mp4": (["-c:v", "libx264", "-bf", "0"], False),
    "mpeg2.ts": (["-c:v", "mpeg2video", "-bf", "2"], False),  # its decoder is not told
}


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("name", REFERENCES)
def test_frames_that_no_other_refers_to_are_decoded_only_if_they_are_asked_for(
    name: str, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, is_left_out = REFERENCES[name]
    source = ["-f", "lavfi", "-i", "mandelbrot=s=96x64:r=25", "-t", "3", "-pix_fmt", "yuv420p"]
    subprocess.run([get_ffmpeg_exe(), "-v", "error", *source, *arguments, str(tmp_path / name)], check=True)
    packets = read_packets(tmp_path / name)
    images = [frame.image() for frame in read_frames(tmp_path / name, packets)]
    decoded: list[Any] = []
    decode = video._Reader._decode
    monkeypatch.setattr(
        video._Reader, "_decode", lambda self, *places: (decoded.append(each) or each for each in decode(self, *places))
    )
    for asked in (range(0, 75, 2), range(1, 75, 7), [40], [3, 4, 60]):
        decoded.clear()
        found = list(read_frames(tmp_path / name, packets, asked, threads=threads))
        assert all(np.array_equal(frame.image(), images[index]) for frame, index in zip(found, asked, strict=True))
        if len(asked) > 30:
            assert (len(decoded) < 70) is is_left_out


def test_time_stamps_are_kept_and_time_counts_from_the_first_frame(tmp_path: Path) -> None:
    stamps = [500, 533, 1000, 1001, 4000]
    path = write(tmp_path / "a.mkv", images=pictures(5), pts=stamps, **X264)
    packets = read_packets(path)
    assert packets.timed
    frames = list(read_frames(path, packets))
    assert [frame.pts for frame in frames] == stamps
    assert [round(frame.time, 6) for frame in frames] == [0, 0.033, 0.5, 0.501, 3.5]


def test_a_stamp_that_is_days_ahead_is_no_gap(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", images=pictures(2), pts=[2**61, 2**62], codec="mjpeg", pixel_format="yuvj420p")
    path.write_bytes(path.read_bytes().replace((2**61).to_bytes(8, "big"), (-(2**62)).to_bytes(8, "big", signed=True)))
    packets = read_packets(path)
    assert packets.time == pytest.approx([0, 0.04])


def test_frames_that_an_edit_list_cuts_off_do_not_count(tmp_path: Path) -> None:
    path = write(tmp_path / "whole.mp4", **X264)
    cut = tmp_path / "cut.mp4"
    command = [get_ffmpeg_exe(), "-v", "error", "-ss", "0.72", "-i", str(path), "-c", "copy", str(cut)]
    subprocess.run(command, check=True)
    packets = read_packets(cut)
    frames = list(read_frames(cut, packets))
    with av.open(str(cut)) as container:
        plain = [number_of(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    assert plain[0] == 18
    assert [number_of(frame.image()) for frame in frames] == plain
    assert [number_of(frame.image()) for frame in read_frames(cut, packets, [30, 3])] == [plain[3], plain[30]]


def test_frames_without_time_stamps_are_identified_by_counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.h264", **X264)
    monkeypatch.setattr(video, "CONTAINERS", "h264")
    packets = read_packets(path)
    assert not packets.timed
    assert packets.time[25] == pytest.approx(1)
    frames = list(read_frames(path, packets, [3, 40]))
    assert [(frame.index, frame.pts, number_of(frame.image())) for frame in frames] == [(3, None, 3), (40, None, 40)]


@pytest.mark.parametrize("pixel_format", ["yuv420p10le", "yuv444p", "yuv422p", "gray", "yuvj420p"])
def test_every_pixel_format_gives_the_same_picture(pixel_format: str, tmp_path: Path) -> None:
    image = np.full((48, 64, 3), 128, np.uint8)
    image[:, 32:] = 30
    codec = "ffv1" if pixel_format != "yuvj420p" else "mjpeg"
    path = write(tmp_path / "a.mkv", codec=codec, pixel_format=pixel_format, images=[image])
    (frame,) = read_frames(path, read_packets(path))
    assert frame.image().dtype == np.uint8
    assert np.abs(frame.image()[:, [8, 56]].astype(int) - [[[128] * 3, [30] * 3]]).max() <= 2


def test_all_margins_that_the_stream_cuts_off_are_cut_off(tmp_path: Path) -> None:
    common = [get_ffmpeg_exe(), "-nostdin", "-v", "error"]
    make = ["-f", "lavfi", "-i", "testsrc2=s=96x64", "-frames:v", "3", "-c:v", "libx264"]
    crop = ["-bsf:v", "h264_metadata=crop_left=6:crop_right=4:crop_top=2:crop_bottom=8"]
    subprocess.run([*common, *make, *crop, tmp_path / "a.mp4"], check=True)
    raw = subprocess.run(
        [*common, "-i", tmp_path / "a.mp4", "-vf", "format=rgb24", "-f", "rawvideo", "-"], check=True, capture_output=True
    ).stdout
    images = [frame.image() for frame in read_frames(tmp_path / "a.mp4", read_packets(tmp_path / "a.mp4"))]
    assert (probe(tmp_path / "a.mp4", "all").width, probe(tmp_path / "a.mp4", "packets").height) == (86, 54)
    assert np.abs(np.stack(images).astype(int) - np.frombuffer(raw, np.uint8).reshape(3, 54, 86, 3)).max() <= 1


@pytest.mark.parametrize("size", [(47, 63), (1, 1), (33, 2)])
def test_odd_sizes_are_kept(size: tuple[int, int], tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    path = write(tmp_path / "a.mkv", codec="ffv1", pixel_format="bgr0", images=[image])
    (frame,) = read_frames(path, read_packets(path))
    assert np.array_equal(frame.image(), image)


@pytest.mark.parametrize("size", [(48, 64), (50, 68), (48, 2)])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "yuv422p", "yuv420p10le", "rgb24"])
@pytest.mark.parametrize("turn", [(1, 0, 0, 1), (-1, 0, 0, -1), (0, 1, -1, 0)])
def test_a_crop_equals_that_part_of_the_whole_picture(
    size: tuple[int, int], pixel_format: str, turn: tuple[int, int, int, int], tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    a, b, c, d = (65536 * number for number in turn)
    path = write(
        tmp_path / "a.mov",
        codec={"yuvj420p": "mjpeg", "rgb24": "png"}.get(pixel_format, "libx264"),
        pixel_format=pixel_format,
        images=[random.integers(0, 256, (*size, 3), np.uint8)],
        prepare=lambda stream: stream.set_display_matrix((a, b, 0, c, d, 0, 0, 0, 1 << 30)),
    )
    (frame,) = read_frames(path, read_packets(path))
    types: list[Depth] = [np.uint8, np.uint16]
    for dtype in types:
        image = frame.image(dtype=dtype)
        height, width = image.shape[:2]
        for _ in range(20):
            (x0, x1), (y0, y1) = (sorted(random.choice(side + 1, 2, replace=False).tolist()) for side in (width, height))
            assert np.array_equal(frame.image((x0, y0, x1, y1), dtype), image[y0:y1, x0:x1])


def test_planes_are_those_of_the_stream_with_each_value_of_chroma_repeated(tmp_path: Path) -> None:
    def tag(stream: Any) -> None:
        stream.codec_context.colorspace, stream.codec_context.color_range = Colorspace.ITU709, ColorRange.MPEG

    random = np.random.default_rng(0)
    path = write(tmp_path / "a.mp4", images=[random.integers(0, 256, (48, 66, 3), np.uint8)], prepare=tag)
    (frame,) = read_frames(path, read_packets(path))
    assert frame.picture is not None
    y, u, v = np.split(frame.picture.to_ndarray().ravel(), [48 * 66, 48 * 66 + 24 * 33])
    whole = np.stack([y.reshape(48, 66), *(np.kron(each.reshape(24, 33), np.ones((2, 2))) for each in (u, v))])
    for _ in range(40):
        (x0, x1), (y0, y1) = (sorted(random.choice(side + 1, 2, replace=False).tolist()) for side in (66, 48))
        assert np.array_equal(frame.planes((x0, y0, x1, y1)), whole[:, y0:y1, x0:x1])


@pytest.mark.parametrize("range_", [ColorRange.MPEG, ColorRange.JPEG])
@pytest.mark.parametrize(
    ("matrix", "red", "blue"), [(Colorspace.ITU709, 0.2126, 0.0722), (Colorspace.ITU601, 0.299, 0.114), (9, 0.2627, 0.0593)]
)
def test_colours_follow_the_matrix_and_range_of_the_stream(
    matrix: int, red: float, blue: float, range_: ColorRange, tmp_path: Path
) -> None:
    y, u, v = 120, 100, 170
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        stream.codec_context.colorspace = matrix
        stream.codec_context.color_range = range_
        frame = av.VideoFrame(32, 32, "yuv420p")
        for plane, value in zip(frame.planes, (y, u, v), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        frame.colorspace, frame.color_range = matrix, range_
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    (found,) = read_frames(path, read_packets(path))
    limited = range_ == ColorRange.MPEG
    light = (y - 16) / 219 if limited else y / 255
    pb, pr = ((u - 128) / (224 if limited else 255), (v - 128) / (224 if limited else 255))
    r, b = light + 2 * (1 - red) * pr, light + 2 * (1 - blue) * pb
    g = (light - red * r - blue * b) / (1 - red - blue)
    assert found.image()[16, 16] == pytest.approx(np.array([r, g, b]) * 255, abs=2)
    # As BT.709 with a limited range, whatever the stream has.
    again = 0.2126 * r + 0.7152 * g + 0.0722 * b
    expected = [16 + 219 * again, 128 + 224 * (b - again) / 1.8556, 128 + 224 * (r - again) / 1.5748]
    assert found.planes((3, 4, 9, 11))[:, 0, 0] == pytest.approx(expected, abs=2)


def test_pictures_of_clips_differ_from_the_formula_by_less_than_a_level() -> None:
    planes = np.random.default_rng(0).integers(0, 256, (3, 64, 64), np.uint8)
    picture = av.VideoFrame.from_ndarray(planes, format="yuv444p")
    picture.colorspace, picture.color_range = Colorspace.ITU709, ColorRange.MPEG
    y, pb, pr = (planes[0] - 16.0) / 219, (planes[1] - 128.0) / 224, (planes[2] - 128.0) / 224
    r, b = y + 2 * (1 - 0.2126) * pr, y + 2 * (1 - 0.0722) * pb
    expected = np.stack([r, (y - 0.2126 * r - 0.0722 * b) / 0.7152, b], axis=-1).clip(0, 1) * 255
    image = VideoFrame(0, 0, 0.0, picture).image()
    assert np.abs(image - expected).max() < 1
    assert (image == np.rint(expected)).mean() > 0.95


TURNS = {
    (1, 0, 0, 1): lambda image: image,
    (-1, 0, 0, 1): np.fliplr,
    (1, 0, 0, -1): np.flipud,
    (-1, 0, 0, -1): lambda image: np.rot90(image, 2),
    (0, 1, -1, 0): lambda image: np.rot90(image, -1),
    (0, -1, 1, 0): lambda image: np.rot90(image, 1),
    (0, 1, 1, 0): lambda image: image.transpose(1, 0, 2),
    (0, -1, -1, 0): lambda image: np.rot90(image, 2).transpose(1, 0, 2),
}


@pytest.mark.parametrize("turn", TURNS)
def test_the_display_matrix_is_applied(turn: tuple[int, int, int, int], tmp_path: Path) -> None:
    a, b, c, d = (65536 * number for number in turn)
    matrix = (a, b, 0, c, d, 0, 0, 0, 1 << 30)
    (image,) = pictures(1, 32, 48)
    path = write(
        tmp_path / "a.mov",
        codec="png",
        pixel_format="rgb24",
        images=[image],
        prepare=lambda stream: stream.set_display_matrix(matrix),
    )
    (frame,) = read_frames(path, read_packets(path))
    assert np.array_equal(frame.image(), TURNS[turn](image))
    with av.open(str(path)) as container:
        assert container.streams.video[0].width == 48


def test_an_attached_picture_is_not_a_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.m4a"), "w") as container:
        add_silence(container)
    (cover,) = pictures(1, 16, 16)
    write(tmp_path / "cover.png", codec="png", pixel_format="rgb24", images=[cover], container_options={"update": "1"})
    both = tmp_path / "both.m4a"
    command = [get_ffmpeg_exe(), "-v", "error", "-i", str(tmp_path / "cover.png"), "-i", str(tmp_path / "sound.m4a")]
    command += ["-map", "0", "-map", "1", "-c", "copy", "-disposition:v:0", "attached_pic", str(both)]
    subprocess.run(command, check=True)
    with av.open(str(both)) as container:
        assert len(container.streams.video) == 1
    with pytest.raises(Failed, match="no video stream"):
        read_packets(both)


def test_a_seek_to_the_wrong_place_is_corrected(video_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path, packets, plain = video_of("closed.mp4")
    monkeypatch.setattr(video, "LEAP", 1)
    wrong = replace(packets, dts=np.full(FRAMES, packets.dts.max()))
    frames = list(read_frames(path, wrong, [14, 30]))
    assert [frame.index for frame in frames] == [14, 30]
    assert all(np.array_equal(frame.image(), plain[frame.index]) for frame in frames)


@pytest.mark.parametrize("name", ["-i.mp4", "a 'b\" c\n.mp4", "%03d.mp4", "http:", "файл.mp4", "file:a.mp4", "concat:a|b"])
def test_any_name_works(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "plain.mp4", **X264).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(read_packets(Path(name))) == FRAMES


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile plain.mp4\n",
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nplain.ts\n#EXT-X-ENDLIST\n",
    ],
)
def test_a_file_that_refers_to_another_is_not_followed(text: str, tmp_path: Path) -> None:
    write(tmp_path / "plain.mp4", **X264)
    write(tmp_path / "plain.ts", **X264)
    path = tmp_path / "list.mp4"
    path.write_text(text)
    with pytest.raises(Failed, match="not a media file"):
        read_packets(path)


def damaged(path: Path, tmp_path: Path, places: slice) -> Path:
    """Return a copy of `path` in which the bytes of the packets at `places` are noise."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for position, size in packets[places]:
        data[position : position + size] = np.random.default_rng(position).bytes(size)
    copy = tmp_path / "damaged.mp4"
    copy.write_bytes(data)
    return copy


def test_a_frame_that_cannot_be_decoded_is_marked_and_the_others_are_read(tmp_path: Path, video_of: Any) -> None:
    path, _, plain = video_of("intra.mov")
    path = damaged(path, tmp_path, slice(20, 25))
    frames = list(read_frames(path, read_packets(path)))
    assert [frame.index for frame in frames] == list(range(FRAMES))
    assert [frame.index for frame in frames if frame.picture is None] == [20, 21, 22, 23, 24]
    with pytest.raises(Failed, match="cannot be decoded"):
        frames[22].image()
    assert all(np.array_equal(frame.image(), plain[frame.index]) for frame in frames if frame.picture)


def test_after_damage_the_next_keyframe_is_undamaged(tmp_path: Path, video_of: Any) -> None:
    path, packets, plain = video_of("still.mp4")
    path = damaged(path, tmp_path, slice(14, 24))
    frames = list(read_frames(path, packets))
    assert len(frames) == FRAMES
    sound = [index for index in range(FRAMES) if not 14 <= index < 24]
    assert all(np.array_equal(frames[index].image(), plain[index]) for index in sound)


def test_a_truncated_video_gives_the_frames_that_it_has(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", **X264)
    os.truncate(path, path.stat().st_size // 2)
    packets = read_packets(path)
    assert 10 < len(packets) < FRAMES
    frames = list(read_frames(path, packets))
    assert [number_of(frame.image()) for frame in frames[:10]] == list(range(10))


def test_a_file_with_only_sound_is_not_a_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        add_silence(container)
    with pytest.raises(Failed, match="no video stream"):
        read_packets(tmp_path / "a.mkv")


@needs_media
@pytest.mark.parametrize("name", ["rotation_0.mov", "rotation_90.mov", "rotation_180.mov", "rotation_270.mov", "dog.mp4"])
def test_frames_of_real_footage_equal_those_of_ffmpeg(name: str) -> None:
    path = MEDIA / name
    command = [get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-frames:v", "3", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = np.frombuffer(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout, np.uint8)
    frames = [frame.image() for frame in read_frames(path, read_packets(path), range(3))]
    shown = raw.reshape(3, *frames[0].shape).astype(int)
    assert np.abs(np.stack(frames) - shown).mean() < 1.5


@needs_media
def test_damaged_real_footage_gives_the_same_result_twice() -> None:
    path = MEDIA / "broken" / "corrupted.mp4"
    packets = read_packets(path)
    first, second = ([frame.picture and frame.image() for frame in read_frames(path, packets)] for _ in range(2))
    assert len(first) == 50
    assert sum(image is None for image in first) == 1
    assert all(a is b or np.array_equal(a, b) for a, b in zip(first, second, strict=True))
