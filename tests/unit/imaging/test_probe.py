"""Good media are described correctly, and each kind of bad media has its own reason."""

import math
import os
import struct
import tempfile
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from other_user import holds_without_permissions
from PIL import Image

from tessera.core.errors import Dropped, Failed
from tessera.core.files import open_file
from tessera.imaging.hashing import hashes_of
from tessera.imaging.probe import Media, probe
from tessera.imaging.video import read_packets

MEDIA = Path(__file__).parents[4] / "shared" / "media"
FLV_HEADER = 16  # bytes before the content of a packet of H.264 in FLV: 11 of its tag, and 5 of the codec
needs_media = pytest.mark.skipif(not MEDIA.is_dir(), reason="real footage, ../shared/media, is not here")


def write_video(
    path: Path,
    *,
    frames: int = 30,
    size: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    rate: int = 25,
    pts: list[int] | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    audio: bool = False,
    video: bool = True,
) -> Path:
    """Write a small video; `pts` are milliseconds."""
    time_base = Fraction(1, 1000) if pts else Fraction(1, rate)
    with av.open(str(path), "w", options=container_options or {}) as container:
        sound = container.add_stream("aac", rate=8000, layout="mono") if audio else None
        if video:
            stream = container.add_stream(codec, rate=rate, options=options or {})
            stream.width, stream.height, stream.pix_fmt = *size, pixel_format
            stream.codec_context.time_base = time_base
            container.start_encoding()
            picture = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
            for number in range(frames):
                frame = av.VideoFrame.from_ndarray(np.roll(picture, 2 * number, 1), format="rgb24")
                frame.pts, frame.time_base = (pts[number] if pts else number), time_base
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        if sound:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 8192), np.float32), format="fltp", layout="mono")
            silence.rate = 8000
            container.mux(sound.encode(silence))
            container.mux(sound.encode())
    return path


def reason(path: Path, check: Any = "keyframes") -> str:
    with pytest.raises(Failed) as fault:
        probe(path, check)
    assert repr(str(path)) in fault.value.detail
    return fault.value.reason


GOOD: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "mp4": ("a.mp4", {}, {"codec": "h264", "container": "mov,mp4,m4a,3gp,3g2,mj2"}),
    "mp4 in fragments": ("a.mp4", {"container_options": {"movflags": "frag_keyframe+empty_moov"}, "options": {"g": "8"}}, {}),
    "mkv with sound": ("a.mkv", {"audio": True}, {"container": "matroska,webm", "streams": ("audio aac", "video h264")}),
    "mkv of a live recording": ("a.mkv", {"container_options": {"live": "1"}}, {"duration": 1.2}),
    "webm": ("a.webm", {"codec": "libvpx-vp9"}, {"codec": "vp9"}),
    "webm of an older codec": ("a.webm", {"codec": "libvpx"}, {"codec": "vp8"}),
    "avi": ("a.avi", {"codec": "mpeg4"}, {"container": "avi", "codec": "mpeg4"}),
    "transport stream": ("a.ts", {}, {"container": "mpegts"}),
    "ten bits": ("a.mp4", {"pixel_format": "yuv420p10le"}, {"pixel_format": "yuv420p10le"}),
    "odd size": ("a.mp4", {"size": (63, 47), "pixel_format": "yuv444p"}, {"width": 63, "height": 47}),
    "pictures out of order": ("a.mp4", {"options": {"bf": "3", "b_strategy": "0"}}, {}),
    "open groups of pictures": ("a.mkv", {"options": {"g": "8", "x264-params": "open-gop=1"}}, {}),
    "one frame": ("a.mp4", {"frames": 1}, {"frames": 1, "duration": 0.04, "variable_rate": False}),
    "a name that is a protocol": ("http:x.mp4", {}, {}),
    "a name that is a pattern": ("img%03d -i 'x\".mp4", {}, {}),
    "a name of two lines": ("two\nlines.mp4", {}, {}),
}


@pytest.mark.parametrize("check", ["packets", "keyframes", "all"])
@pytest.mark.parametrize("case", GOOD)
def test_good_videos_are_described_correctly(tmp_path: Path, case: str, check: Any) -> None:
    name, options, expected = GOOD[case]
    written = tmp_path / "written.{}".format(name.rsplit(".")[-1])
    path = write_video(written, **options).rename(tmp_path / name)
    found = probe(path, check)
    usual = {"kind": "video", "width": 64, "height": 48, "frames": 30, "rotation": 0, "duration": 1.2, "variable_rate": False}
    for field, value in {**usual, "average_rate": 25.0, "nominal_rate": 25.0, **expected}.items():
        assert getattr(found, field) == pytest.approx(value) if isinstance(value, float) else getattr(found, field) == value, (
            field
        )
    assert found.frames == len(read_packets(path)), "frames are counted as they are sampled"


def test_a_video_with_tags_in_another_encoding_is_usable(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes().replace(b"VideoHandler", b"Vid\xe9oHandler"))
    assert probe(path, "all").frames == 30
    assert len(read_packets(path)) == 30


def test_a_frame_that_is_never_shown_is_not_counted(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.webm", codec="libvpx")
    with av.open(str(path)) as container:
        packet = bytes([bytes(packet) for packet in container.demux(video=0)][10])
    assert packet[0] & 0x10
    path.write_bytes(path.read_bytes().replace(packet, bytes([packet[0] & ~0x10]) + packet[1:]))
    assert probe(path, "keyframes").frames == len(read_packets(path)) == 29


def test_a_variable_rate_is_found(tmp_path: Path) -> None:
    found = probe(write_video(tmp_path / "a.mkv", frames=4, pts=[0, 40, 200, 240]), "keyframes")
    assert found.variable_rate
    assert found.average_rate == pytest.approx(found.frames / found.duration)


def test_rounded_times_are_no_variable_rate(tmp_path: Path) -> None:
    pts = [round(number * 1000 / 29.97) for number in range(30)]
    assert probe(write_video(tmp_path / "a.mkv", pts=pts), "keyframes").variable_rate is False


@pytest.mark.parametrize("name", ["a.mp4", "fast.mp4", "a.mkv", "a.avi", "a.webm", "a.flv"])
@pytest.mark.parametrize("check", ["packets", "keyframes", "all"])
@pytest.mark.parametrize("part", [0.5, 0.9])
def test_a_video_cut_short_is_truncated(tmp_path: Path, name: str, check: Any, part: float) -> None:
    options = {"movflags": "+faststart"} if name == "fast.mp4" else {}
    codec = {".avi": "mpeg4", ".webm": "libvpx-vp9"}.get(Path(name).suffix, "libx264")
    path = write_video(tmp_path / name, codec=codec, container_options=options)
    # In the middle of a packet, behind its header: an FLV that lacks less than a second may look whole if it ends elsewhere.
    # x264 may give other bytes each time.
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    position, size = packets[int(len(packets) * part)]
    os.truncate(path, position + FLV_HEADER + size // 2)
    assert reason(path, check) == "truncated"


def _tags(data: bytes) -> list[int]:
    """Return where each tag of an FLV file begins, and where it ends."""
    places = [13]
    while places[-1] < len(data):
        places.append(places[-1] + 11 + int.from_bytes(data[places[-1] + 1 : places[-1] + 4], "big") + 4)
    return places


def test_an_flv_that_ends_between_two_packets_or_in_a_header_is_truncated(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.flv", frames=80)
    data, frames = path.read_bytes(), probe(path, "all").frames
    place = next(place for place in _tags(data) if place > len(data) / 2)
    for end in (place, place + 5, place - 4, place + 11, 300):
        path.write_bytes(data[:end])
        assert reason(path) == "truncated", end - place
    # It has lost no more than a frame, or states only one of both, or one of them wrongly, as saved streams do.
    path.write_bytes(data[: _tags(data)[-2]])
    assert probe(path, "all").frames >= frames - 1
    for stated, value in ((b"filesize", 0.0), (b"duration", 0.0), (b"filesize", math.nan), (b"duration", math.nan)):
        position = data.index(stated) + len(stated) + 1
        path.write_bytes((data[:position] + struct.pack(">d", value) + data[position + 8 :])[:place])
        assert 0 < probe(path, "all").frames < frames
    for stated, value in ((b"filesize", 7e7), (b"duration", 2147483.63)):
        position = data.index(stated) + len(stated) + 1
        path.write_bytes(data[:position] + struct.pack(">d", value) + data[position + 8 :])
        assert probe(path, "all").frames == frames


@given(st.binary(max_size=60), st.binary(max_size=40))
def test_a_damaged_flv_gives_a_reason(middle: bytes, end: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.flv")
        path.write_bytes(b"FLV\1" + middle + b"\0\x08filesize\0" + end)
        assert reason(path)


def test_a_video_without_its_index_is_truncated(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    os.truncate(path, path.read_bytes().rindex(b"moov") - 4)
    assert reason(path) == "truncated"


def test_a_recording_that_begins_between_keyframes_is_not_damaged(tmp_path: Path) -> None:
    options = {"x265-params": "keyint=20:no-open-gop=1:log-level=none"}
    path = write_video(tmp_path / "a.ts", codec="libx265", frames=60, options=options)
    data = path.read_bytes()
    with av.open(str(path)) as container:
        second = [packet.pos for packet in container.demux(video=0) if packet.size][1]
    tables = data[: 3 * 188]
    path.write_bytes(tables + data[second:])
    found = probe(path, "all")
    assert found.frames == len(read_packets(path)) == 40


def test_damage_inside_a_keyframe_is_found_by_default(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", size=(320, 240), options={"g": "10"})
    data = bytearray(path.read_bytes())
    data[5000:5200] = bytes(255 - byte for byte in data[5000:5200])
    path.write_bytes(data)
    assert reason(path) == "corrupted"


def test_damage_inside_any_picture_is_found_when_all_are_decoded(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", size=(320, 240), options={"crf": "5", "qp": "10"})
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size > 500][-1]
        place = packet.pos + packet.size // 2
    data = bytearray(path.read_bytes())
    data[place : place + 40] = bytes(255 - byte for byte in data[place : place + 40])
    path.write_bytes(data)
    assert reason(path, "all") == "corrupted"


def _with_absurd_size(path: Path) -> Path:
    """Let the second packet of an IVF file state a size for which FFmpeg reports a lack of memory."""
    data = bytearray(path.read_bytes())
    place = 32 + 12 + int.from_bytes(data[32:36], "little")
    data[place : place + 4] = b"\x04\xdd\xb8\xeb"
    path.write_bytes(data)
    return path


BAD: dict[str, tuple[str, Callable[[Path], object]]] = {
    "missing": ("missing", lambda path: None),
    "a link to nowhere": ("missing", lambda path: path.symlink_to(path.parent / "gone")),
    "a link to itself": ("unreadable", lambda path: path.symlink_to(path)),
    "empty": ("empty file", lambda path: path.touch()),
    "text": ("not a media file", lambda path: path.write_text("This is not a video.\n")),
    "noise": ("not a media file", lambda path: path.write_bytes(np.random.default_rng(0).bytes(5000))),
    "a playlist": ("not a media file", lambda path: path.write_text("#EXTM3U\n#EXTINF:9,\nother.mp4\n#EXT-X-ENDLIST\n")),
    "a script": ("not a media file", lambda path: path.write_text("ffconcat version 1.0\nfile other.mp4\n")),
    "a session": (
        "not a media file",
        lambda path: path.write_text("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nt=0 0\nm=video 1 RTP/AVP 96\n"),
    ),
    "a raw stream": ("not a media file", lambda path: write_video(path.with_suffix(".h264")).rename(path)),
    "audio only": ("no video stream", lambda path: write_video(path, audio=True, video=False)),
    "no frames": ("no frames", lambda path: write_video(path, frames=0, container_options={"movflags": "empty_moov"})),
    "an absurd size of a packet": (
        "corrupted",
        lambda path: _with_absurd_size(write_video(path.with_suffix(".ivf"), codec="libvpx")).rename(path),
    ),
    "an absurd size of a header": (
        "truncated",
        lambda path: path.write_bytes(b"\x1a\x45\xdf\xa3\1" + 7 * b"\xf0" + 100 * b"x"),
    ),
    "a pipe": ("not a regular file", os.mkfifo),
    "a folder": ("not a regular file", lambda path: path.mkdir()),
}


@pytest.mark.parametrize("case", BAD)
def test_each_kind_of_bad_file_has_its_reason(tmp_path: Path, case: str) -> None:
    expected, make = BAD[case]
    write_video(tmp_path / "other.mp4")
    make(tmp_path / "a.mp4")
    assert reason(tmp_path / "a.mp4") == expected


def test_a_name_no_file_can_have_is_missing() -> None:
    for name in ("a\0b.mp4", "a.mp4/b.mp4"):
        assert reason(Path(name)) == "missing"
    assert reason(Path("a" * 5000)) == "unreadable"


def test_a_file_without_permission_is_reported(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    path.chmod(0)

    def is_told() -> bool:
        with pytest.raises(Failed) as fault:
            open_file(path)
        return fault.value.reason == "permission denied"

    assert holds_without_permissions(tmp_path, is_told)


def test_files_are_recognised_by_content_not_by_suffix(tmp_path: Path) -> None:
    assert probe(write_video(tmp_path / "a.mp4").rename(tmp_path / "a"), "keyframes").kind == "video"
    Image.new("RGB", (5, 4)).save(tmp_path / "b.mp4", "PNG")
    assert probe(tmp_path / "b.mp4", "keyframes") == Media("image", "png", "RGB", 5, 4, 0, 1)


@pytest.mark.parametrize(
    ("orientation", "size", "rotation"), [(1, (6, 4), 0), (3, (6, 4), 180), (6, (4, 6), 270), (8, (4, 6), 90)]
)
def test_an_image_is_upright(tmp_path: Path, orientation: int, size: tuple[int, int], rotation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (6, 4)).save(tmp_path / "a.jpg", exif=exif)
    found = probe(tmp_path / "a.jpg", "keyframes")
    assert ((found.width, found.height), found.rotation) == (size, rotation)


def test_bad_images_have_their_reasons(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8))
    noise.save(tmp_path / "cut.png")
    os.truncate(tmp_path / "cut.png", 3000)
    assert reason(tmp_path / "cut.png") == "image cannot be decoded"
    noise.save(tmp_path / "moving.webp", save_all=True, append_images=[noise.rotate(90)], lossless=True)
    assert reason(tmp_path / "moving.webp") == "several pictures in one image"
    noise.save(tmp_path / "bomb.png")
    data = bytearray((tmp_path / "bomb.png").read_bytes())
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (tmp_path / "bomb.png").write_bytes(data)
    assert reason(tmp_path / "bomb.png") == "image too large"


@pytest.mark.parametrize(("check", "times"), [("keyframes", [0.0, 0.6, 1.2, 1.8]), ("all", [0.0, 0.52, 1.04, 1.56, 2.08])])
def test_at_most_two_pictures_per_second_are_compared(tmp_path: Path, check: Any, times: list[float]) -> None:
    path = write_video(tmp_path / "a.mp4", frames=60, options={"g": "5", "keyint_min": "5", "sc_threshold": "0"})
    seen: list[str] = []
    probe(path, check, lambda image, place: seen.append(place))
    assert seen == [f"at {time:.3f} s" for time in times]


def test_a_refused_picture_ends_the_probe(tmp_path: Path) -> None:
    def refuse(image: np.ndarray, place: str) -> None:
        assert image.shape == (48, 64, 3) and image.dtype == np.uint8
        raise Dropped("seen")

    for check in ("packets", "keyframes", "all"):
        with pytest.raises(Dropped, match="seen"):
            probe(write_video(tmp_path / "a.mp4"), check, refuse)  # type: ignore[arg-type]


@needs_media
@pytest.mark.parametrize("angle", [0, 90, 180, 270])
def test_real_rotated_videos_are_upright(angle: int) -> None:
    found = probe(MEDIA / f"rotation_{angle}.mov", "keyframes")
    assert found.rotation == -angle % 360
    assert (found.width, found.height) == ((568, 320) if angle % 180 == 0 else (320, 568))
    assert found.frames == 3


@needs_media
def test_real_broken_videos_have_their_reasons() -> None:
    expected = {"corrupted": "corrupted", "truncated": "truncated", "empty": "empty file", "text": "not a media file"}
    assert {name: reason(MEDIA / "broken" / f"{name}.mp4") for name in expected} == expected


@needs_media
def test_a_real_video_is_described_correctly() -> None:
    found = probe(MEDIA / "dog.mp4", "all")
    assert (found.codec, found.width, found.height, found.frames) == ("h264", 1280, 720, 289)
    assert found.average_rate == pytest.approx(30000 / 1001)
    assert found.streams == ("video h264", "audio aac", "data")


@settings(deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))))
def test_the_perceptual_hash_equals_that_of_imagehash(image: np.ndarray) -> None:
    assert f"{hashes_of(image)[0]:016x}" == str(imagehash.phash(Image.fromarray(image)))
