"""The order and the times of frames are those of FFmpeg's decoding, whatever the container states."""

import subprocess
from collections.abc import Callable
from fractions import Fraction
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imageio_ffmpeg import get_ffmpeg_exe

from tessera.imaging import video
from tessera.imaging.probe import Check, probe
from tessera.imaging.timeline import Stamps, arrange, close_jumps, interpolated
from tessera.imaging.video import Packets, read_frames, read_packets

MILLISECOND, RATE = Fraction(1, 1000), Fraction(25)
TEST = ["-f", "lavfi", "-t", "2", "-i", "testsrc2=s=96x64:r=24"]
OTHER = ["-f", "lavfi", "-t", "2", "-i", "mandelbrot=s=96x64:r=24"]
H264 = ["-c:v", "libx264", "-bf", "2", "-g", "12"]


def ffmpeg(*arguments: Any) -> bytes:
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True).stdout


def frames_by_ffmpeg(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the seconds since the first frame and the pictures, uint8 (n, 64, 96, 3), as the FFmpeg program decodes them."""
    decode = ["-i", path, "-map", "0:V:0", "-fps_mode", "passthrough"]
    lines = ffmpeg(*decode, "-enc_time_base", "1:1000000", "-f", "framecrc", "-").decode().splitlines()
    time = np.array([int(line.split(",")[2]) / 1e6 for line in lines if not line.startswith("#")])
    raw = ffmpeg(*decode, "-vf", "scale=interl=-1,format=rgb24", "-f", "rawvideo", "-")
    return time - time[0], np.frombuffer(raw, np.uint8).reshape(-1, 64, 96, 3)


def assert_as_ffmpeg(path: Path) -> Packets:
    """Assert that all frames, and some read alone, have the pictures and the times of FFmpeg; return the packets."""
    time, pictures = frames_by_ffmpeg(path)
    packets = read_packets(path)
    frames = list(read_frames(path, packets))
    assert [frame.time for frame in frames] == pytest.approx(time.tolist(), abs=0.001)
    assert (np.diff(packets.pts) > 0).all()
    images = [frame.image() for frame in frames]
    assert all(np.abs(image.astype(int) - picture).mean() < 2 for image, picture in zip(images, pictures, strict=True))
    for frame in read_frames(path, packets, {3, len(packets) // 2, len(packets) - 4}):
        assert np.array_equal(frame.image(), images[frame.index])
    checks: list[Check] = ["packets", "keyframes", "all"]
    assert [probe(path, check).frames for check in checks] == [len(time)] * 3
    return packets


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that writes a video of 48 frames with the given arguments of FFmpeg, once for each name."""
    folder = tmp_path_factory.mktemp("films")

    def make(name: str, *arguments: Any) -> Path:
        if not (folder / name).exists():
            ffmpeg(*arguments, folder / name)
        return folder / name

    return make


@pytest.mark.parametrize("kind", ["the same", "another", "later stamps", "earlier stamps", "program stream"])
def test_recordings_that_were_joined_follow_each_other(kind: str, film: Any, tmp_path: Path) -> None:
    first, second = film("first.ts", *TEST, *H264), film("second.ts", *OTHER, *H264)
    late = film("late.ts", *OTHER, *H264, "-output_ts_offset", "100")
    program = film("program.mpg", *TEST, "-c:v", "mpeg2video", "-bf", "2", "-g", "12", "-b:v", "1M")
    parts = {
        "the same": (first, first),
        "another": (first, second),
        "later stamps": (first, late),
        "earlier stamps": (late, first),
        "program stream": (program, program),
    }[kind]
    path = tmp_path / f"joined{parts[0].suffix}"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    packets = assert_as_ffmpeg(path)
    assert len(packets.shifts) == 1
    assert np.diff(packets.time) == pytest.approx(1 / 24, abs=0.001)


@pytest.mark.parametrize("suffix", ["mkv", "flv", "nut", "ts"])
@pytest.mark.parametrize("wrong", ["PREV_OUTPTS", "PTS-4000", "PTS+4000"])
@pytest.mark.parametrize("reordered", [False, True])
def test_one_wrong_stamp_costs_at_most_this_stamp(suffix: str, wrong: str, reordered: bool, film: Any, tmp_path: Path) -> None:
    sound = film(f"{reordered}.mp4", *TEST, *H264, "-bf", 2 * int(reordered))
    path = tmp_path / f"a.{suffix}"
    ffmpeg("-i", sound, "-c", "copy", "-bsf:v", f"setts=pts='if(eq(N,20),{wrong},PTS)'", path)
    packets, (time, pictures) = read_packets(path), frames_by_ffmpeg(sound)
    images = [frame.image() for frame in read_frames(path, packets)]
    differs = [np.abs(image.astype(int) - picture).mean() > 2 for image, picture in zip(images, pictures, strict=True)]
    if reordered and suffix in ("mkv", "nut") and wrong != "PREV_OUTPTS":
        # These containers have no decoding time stamps: a stamp that is merely unusual moves its frame.
        assert sum(differs) <= 8
    else:
        assert not any(differs)
        assert (np.abs(packets.time - time) > 0.002).sum() <= 1


@pytest.mark.parametrize(
    "codec", [["mpeg4", "-bf", "2"], ["libx264", "-bf", "2"], ["mpeg4"], ["mjpeg", "-pix_fmt", "yuvj420p"]]
)
@pytest.mark.parametrize("dropped", ["gte(n,0)", "not(between(n,10,19))"])
def test_avi_has_the_times_of_its_chunks(codec: list[str], dropped: str, film: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    ffmpeg(*TEST, "-vf", f"select='{dropped}'", "-fps_mode", "vfr", "-c:v", *codec, "-q:v", "4", path)
    packets = assert_as_ffmpeg(path)
    assert packets.time[-1] == pytest.approx(47 / 24, abs=0.001)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("variable.mkv", [*TEST, "-vf", "select='not(mod(n,3))+not(mod(n,7))'", "-fps_mode", "vfr", *H264]),
        ("variable.mp4", [*TEST, "-vf", "select='not(mod(n,3))+not(mod(n,7))'", "-fps_mode", "vfr", *H264]),
        ("wrap.ts", [*TEST, *H264, "-output_ts_offset", str(2**33 / 90000 - 1)]),
        ("offset.mp4", [*TEST, *H264, "-output_ts_offset", "1.5"]),
        ("fields.ts", [*TEST, "-vf", "interlace", "-c:v", "mpeg2video", "-flags", "+ilme+ildct", "-b:v", "1M"]),
        ("fields.mkv", [*TEST, "-vf", "interlace", *H264, "-flags", "+ilme+ildct"]),
        ("coarse.mkv", [*TEST, *H264, "-r", "47.952"]),
        ("program.mpg", [*TEST, "-c:v", "mpeg2video", "-bf", "2", "-g", "12", "-b:v", "1M"]),
        ("windows.wmv", [*TEST, "-c:v", "wmv2"]),
        ("flash.flv", [*TEST, *H264]),
        ("versatile.mp4", [*TEST, "-c:v", "libvvenc", "-qp", "30", "-preset", "faster"]),
        ("theora.ogv", [*TEST, "-c:v", "libtheora"]),
        ("animation.gif", [*TEST, "-t", "1"]),
        ("no keyframes.mkv", [*TEST, "-t", "1", "-c:v", "gif"]),
        ("no keyframes.wtv", [*TEST, "-c:v", "wmv1"]),
        ("ends with a header.ts", [*TEST, "-t", "0.5", "-c:v", "vc2"]),
    ],
)
def test_every_kind_of_timing_is_as_in_ffmpeg(name: str, arguments: list[Any], film: Any) -> None:
    assert_as_ffmpeg(film(name, *arguments))


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("h261.avi", ["-vf", "scale=176:144", "-c:v", "h261"]),
        ("h263.avi", ["-vf", "scale=176:144", "-c:v", "h263"]),
        ("h263 plus.mkv", ["-c:v", "h263p", "-g", "7"]),
        ("apple.mov", ["-c:v", "rpza"]),
        ("vc2.mov", ["-c:v", "vc2"]),
        ("packed.avi", ["-c:v", "libxvid", "-bf", "2", "-gmc", "1", "-g", "12"]),
    ],
)
def test_marks_of_keyframes_that_lie_are_not_believed(name: str, codec: list[Any], film: Any) -> None:
    path = film(name, *TEST, *codec)
    packets = read_packets(path)
    whole = [frame.image() for frame in read_frames(path, packets)]
    for index in range(len(packets) - 1, 0, -5):
        (frame,) = read_frames(path, packets, [index])
        assert np.array_equal(frame.image(), whole[index])


def test_frames_of_av1_that_lie_in_packets_of_their_own_are_hidden_or_shown(film: Any, tmp_path: Path) -> None:
    film("av1.mkv", *TEST, "-c:v", "libaom-av1", "-cpu-used", "8", "-lag-in-frames", "25", "-b:v", "50k")
    ffmpeg("-i", film("av1.mkv"), "-c", "copy", "-bsf:v", "av1_frame_split", tmp_path / "split.nut")
    with video.open_video(tmp_path / "split.nut") as (container, stream):
        assert sum(1 for _ in video.demux(container, stream)) > 48
    assert len(assert_as_ffmpeg(tmp_path / "split.nut")) == 48


def test_headers_within_joined_ogg_files_are_no_frames(film: Any, tmp_path: Path) -> None:
    films = [film(name, *source, "-c:v", "libtheora") for name, source in (("theora.ogv", TEST), ("other.ogv", OTHER))]
    path = tmp_path / "joined.ogv"
    path.write_bytes(b"".join(each.read_bytes() for each in films))
    alone = [frame.image() for each in films for frame in read_frames(each, read_packets(each))]
    joined = [frame.image() for frame in read_frames(path, read_packets(path))]
    assert len(joined) == probe(path, "all").frames == 96
    assert all(np.array_equal(image, other) for image, other in zip(joined, alone, strict=True))


def test_an_empty_packet_of_theora_is_no_frame_and_no_damage(film: Any, tmp_path: Path) -> None:
    """It says that the frame before it goes on, which the time of the next one says as well."""
    _, *pages = film("pages.ogv", *TEST, "-c:v", "libtheora", "-page_duration", "1").read_bytes().split(b"OggS")
    for number in (20, 21):
        head = b"OggS" + pages[number][:18], b"\x01\x00"  # of one segment without a byte
        pages[number] = (head[0] + ogg_checksum(head[0] + bytes(4) + head[1]) + head[1])[4:]
    path = tmp_path / "empty.ogv"
    path.write_bytes(b"".join(b"OggS" + page for page in pages))
    packets = assert_as_ffmpeg(path)
    assert len(packets) == 46 and np.diff(packets.time).max() == pytest.approx(3 / 24, abs=0.001)


def ogg_checksum(page: bytes) -> bytes:
    """Return the checksum of a page whose checksum is zero, as RFC 3533 has it."""
    register = 0
    for byte in page:
        register ^= byte << 24
        for _ in range(8):
            register = ((register << 1) ^ (0x04C11DB7 * (register >> 31))) & 0xFFFFFFFF
    return register.to_bytes(4, "little")


def test_mxf_has_no_presentation_time_stamps(film: Any) -> None:
    path = film("a.mxf", *TEST, *H264)
    images = [frame.image() for frame in read_frames(path, read_packets(path))]
    pictures = frames_by_ffmpeg(path)[1]
    assert all(np.abs(image.astype(int) - picture).mean() < 2 for image, picture in zip(images, pictures, strict=True))
    assert np.diff(read_packets(path).time) == pytest.approx(1 / 24, abs=0.001)


def test_hidden_frames_of_vp9_are_no_frames_of_the_video(film: Any, tmp_path: Path) -> None:
    common = [*TEST, "-c:v", "libvpx-vp9", "-b:v", "200k", "-auto-alt-ref", "1", "-lag-in-frames", "25"]
    common += ["-passlogfile", tmp_path / "pass"]
    ffmpeg(*common, "-pass", "1", "-f", "null", "-")
    ffmpeg(*common, "-pass", "2", tmp_path / "a.webm")
    ffmpeg("-i", tmp_path / "a.webm", "-c", "copy", "-bsf:v", "vp9_superframe_split", tmp_path / "split.nut")
    for name in ("a.webm", "split.nut"):
        assert len(assert_as_ffmpeg(tmp_path / name)) == 48
    with video.open_video(tmp_path / "split.nut") as (container, stream):
        assert sum(1 for _ in video.demux(container, stream)) > 48


@pytest.mark.parametrize("bframes", [0, 2])
def test_a_film_trimmed_behind_its_only_keyframe_is_admitted(bframes: int, film: Any, tmp_path: Path) -> None:
    whole = film(f"one keyframe {bframes}.mp4", *TEST, "-c:v", "libx264", "-g", "250", "-bf", bframes)
    ffmpeg("-ss", "0.9", "-i", whole, "-c", "copy", tmp_path / "trimmed.mp4")
    assert 24 <= len(assert_as_ffmpeg(tmp_path / "trimmed.mp4")) <= 28


def test_frames_that_refer_to_what_was_cut_off_are_no_damage(film: Any, tmp_path: Path) -> None:
    whole = film("open.mp4", *TEST, "-c:v", "libx264", "-bf", "3", "-g", "12", "-x264-params", "open-gop=1")
    for name in ("trimmed.mkv", "trimmed.mp4"):
        ffmpeg("-ss", "0.7", "-i", whole, "-c", "copy", tmp_path / name)
        assert len(assert_as_ffmpeg(tmp_path / name)) < 40


def test_a_recording_begins_with_its_first_keyframe(film: Any, tmp_path: Path) -> None:
    data = film("first.ts", *TEST, *H264).read_bytes()
    path = tmp_path / "begins.ts"
    path.write_bytes(data[len(data) // 3 // 188 * 188 :])
    assert len(assert_as_ffmpeg(path)) < 48


def test_the_default_track_is_read(film: Any, tmp_path: Path) -> None:
    first, second = film("first.ts", *TEST, *H264), film("second.ts", *OTHER, *H264)
    path = tmp_path / "two.mkv"
    tracks = ["-map", "0", "-map", "1", "-c", "copy", "-disposition:0", "0", "-disposition:1", "default"]
    ffmpeg("-i", first, "-i", second, *tracks, path)
    (frame,) = read_frames(path, read_packets(path), [20])
    assert np.abs(frame.image().astype(int) - frames_by_ffmpeg(second)[1][20]).mean() < 2


def test_stamps_that_agree_are_not_decoded(film: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "_decoded", lambda *_: pytest.fail("decoded"))
    for name in ("first.ts", "first.mp4", "first.mkv", "flash.flv"):
        assert len(read_packets(film(name, *TEST, *H264))) == 48
    program = film("program.mpg", *TEST, "-c:v", "mpeg2video", "-bf", "2", "-g", "12", "-b:v", "1M")
    assert len(read_packets(program)) == 48


steps = st.lists(st.integers(1, 5000), min_size=2, max_size=12)


@given(steps, steps, st.integers(-(10**9), 10**9))
def test_a_part_after_a_jump_follows_the_one_before_it(first: list[int], second: list[int], offset: int) -> None:
    before, after = np.cumsum([0, *first]).tolist(), (np.cumsum([0, *second]) + offset).tolist()
    if -100 <= offset - before[-1] < 11000:
        return  # within the tolerances: the second part goes on
    closed, jumps = close_jumps([Stamps(at, at, 40) for at in before + after], MILLISECOND, RATE, may_jump=True)
    if before[-2] < offset < before[-1]:
        return  # the last stamp of the first part is the one that is out of line
    if offset < before[-1] < after[1]:
        return  # the first stamp of the second part is
    shift = before[-1] + 40 - offset
    assert jumps == [(len(before), shift)]
    assert [each.pts for each in closed] == before + [at + shift for at in after]


@given(st.lists(st.integers(1, 90), min_size=6, max_size=20), st.data())
def test_one_stamp_out_of_line_is_no_jump(gaps: list[int], data: Any) -> None:
    stamps = np.cumsum([0, *gaps]).tolist()
    place = data.draw(st.integers(2, len(stamps) - 3))
    wrong = stamps[place] + data.draw(st.sampled_from([-1, 1])) * data.draw(st.integers(20_000, 10**6))
    changed = [Stamps(at, at, 40) for at in stamps]
    changed[place] = Stamps(wrong, wrong, 40)
    closed, jumps = close_jumps(changed, MILLISECOND, RATE, may_jump=True)
    assert not jumps
    assert [each.pts for each in closed] == [None if at == place else stamp for at, stamp in enumerate(stamps)]


@given(st.permutations(range(8)))
def test_plausible_stamps_order_the_frames(order: list[int]) -> None:
    # Decoded in the order of `order`, with stamps that are late enough for any reordering.
    packets = [Stamps(400 + 40 * shown, 40 * place, 40) for place, shown in enumerate(order)]
    line = arrange(packets, MILLISECOND, RATE, 8, lambda: pytest.fail("decoded"), may_jump=False)
    assert [order[place] for place in line.order] == list(range(8))
    assert line.pts.tolist() == [400 + 40 * number for number in range(8)]


def test_without_stamps_frames_are_counted() -> None:
    line = arrange([Stamps(None, None, 0)] * 3, MILLISECOND, RATE, 0, lambda: [(0, 0), (2, 2), (1, None)], may_jump=False)
    assert (line.order.tolist(), line.pts.tolist(), line.is_timed) == ([0, 2, 1], [0, 1, 2], False)


stamps_or_none = st.lists(st.none() | st.integers(-50, 50), min_size=1, max_size=9).filter(lambda each: set(each) != {None})


@given(stamps_or_none)
def test_as_many_stamps_as_possible_are_kept(stamps: list[int | None]) -> None:
    known = [(place, stamp * 100) for place, stamp in enumerate(stamps) if stamp is not None]
    most = max(
        count
        for count in range(1, len(known) + 1)
        if any(all(a < b for (_, a), (_, b) in pairwise(some)) for some in combinations(known, count))
    )
    found = interpolated([None if stamp is None else stamp * 100 for stamp in stamps], 40)
    assert (np.diff(found) > 0).all()
    assert sum(found[place] == stamp for place, stamp in known) >= most


@given(st.lists(st.integers(-(2**70), 2**70), min_size=1, max_size=5), st.lists(st.none() | st.integers(), max_size=5))
def test_absurd_stamps_are_survived(pts: list[int], dts: list[int | None]) -> None:
    packets = [Stamps(max(-(2**63), min(2**63 - 1, one)), None, 0) for one in pts]
    packets += [Stamps(None, None if one is None else max(-(2**63), min(2**63 - 1, one)), 2**40) for one in dts]
    everything = [(place, place) for place in range(len(packets))]
    line = arrange(packets, MILLISECOND, RATE, 2, lambda: everything, may_jump=True)
    assert len(line.order) == len(packets)
    assert (line.pts[1:] > line.pts[:-1]).all()
