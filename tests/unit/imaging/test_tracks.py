"""A copy of a film is the film: its times, its sound, and all that it has besides its pictures."""

import re
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.imaging.frame import side_data
from tessera.imaging.spans import parse_spans
from tessera.imaging.timeline import Stamps
from tessera.imaging.tracks import Moves, in_line, plan_tracks
from tessera.imaging.video import read_packets
from tessera.imaging.video_copy import Codec, Encoding
from video_copies import copied, described, ffmpeg, packets_of, streams_of

TEST = ["-f", "lavfi", "-t", "1", "-i", "testsrc2=s=96x64:r=24"]
TONE = ["-f", "lavfi", "-t", "1", "-i", "sine=r=48000"]
H264, MJPEG = ["-c:v", "libx264", "-bf", "2"], ["-c:v", "mjpeg", "-pix_fmt", "yuvj420p"]
# By name: the arguments of FFmpeg for a picture and a sound, the suffix of the copy, and how its sound gets there.
KINDS: dict[str, tuple[list[str], str, str]] = {
    "aac.mp4": ([*H264, "-c:a", "aac"], ".mp4", "copy"),
    "mp3.mp4": ([*H264, "-c:a", "libmp3lame"], ".mp4", "copy"),
    "opus.mp4": ([*H264, "-c:a", "libopus"], ".mp4", "copy"),
    "flac.mp4": ([*H264, "-c:a", "flac"], ".mp4", "copy"),
    "alac.mov": ([*H264, "-c:a", "alac"], ".mov", "copy"),
    "pcm.mov": ([*MJPEG, "-c:a", "pcm_s24le"], ".mov", "copy"),
    "mulaw.mov": ([*MJPEG, "-c:a", "pcm_mulaw"], ".mov", "copy"),
    "prores.mov": (["-c:v", "prores", "-c:a", "aac"], ".mov", "copy"),
    "vorbis.mkv": ([*H264, "-c:a", "libvorbis"], ".mkv", "copy"),
    "pcm.mkv": (["-c:v", "ffv1", "-c:a", "pcm_s16le"], ".mkv", "copy"),
    "truehd.mkv": ([*H264, "-c:a", "truehd", "-strict", "-2", "-ac", "2"], ".mkv", "copy"),
    "ac3.mkv": ([*H264, "-c:a", "ac3"], ".mkv", "copy"),
    "vp9.webm": (["-c:v", "libvpx-vp9", "-c:a", "libopus"], ".mkv", "copy"),
    "vp8.webm": (["-c:v", "libvpx", "-c:a", "libvorbis"], ".mkv", "copy"),
    "mp3.avi": (["-c:v", "mpeg4", "-c:a", "libmp3lame"], ".mp4", "copy"),
    "adpcm.avi": ([*MJPEG, "-c:a", "adpcm_ima_wav"], ".mp4", "AAC"),
    "mp2.ts": (["-c:v", "mpeg2video", "-c:a", "mp2"], ".mp4", "copy"),
    "aac.ts": ([*H264, "-c:a", "aac"], ".mp4", "copy"),
    "bluray.m2ts": ([*H264, "-c:a", "pcm_bluray"], ".mp4", "FLAC"),
    "lpcm.vob": (["-c:v", "mpeg2video", "-c:a", "pcm_dvd"], ".mp4", "FLAC"),
    "ac3.vob": (["-c:v", "mpeg2video", "-c:a", "ac3"], ".mp4", "copy"),
    "wma.wmv": (["-c:v", "wmv2", "-c:a", "wmav2"], ".mp4", "AAC"),
    "aac.flv": ([*H264, "-c:a", "aac"], ".mp4", "copy"),
    "nellymoser.flv": (["-c:v", "flv", "-c:a", "nellymoser", "-ar", "44100"], ".mp4", "AAC"),
    "amr.3gp": (["-c:v", "h263", "-s", "176x144", "-c:a", "libopencore_amrnb", "-ar", "8000"], ".mp4", "AAC"),
    "vorbis.ogv": (["-c:v", "libtheora", "-c:a", "libvorbis"], ".mp4", "copy"),
    "silent.mp4": ([*H264, "-an"], ".mp4", ""),
    "silent.gif": (["-an"], ".mp4", ""),
    "hevc.mp4": (["-c:v", "libx265", "-x265-params", "log-level=none", "-c:a", "aac"], ".mp4", "copy"),
    "av1.mkv": (["-c:v", "libaom-av1", "-cpu-used", "8", "-c:a", "libopus"], ".mkv", "copy"),
    "surround.mkv": ([*H264, "-c:a", "eac3", "-ac", "6"], ".mkv", "copy"),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_copy_has_the_times_and_the_sound_of_the_film(name: str, tmp_path: Path) -> None:
    arguments, suffix, way = KINDS[name]
    path = tmp_path / name
    ffmpeg(*TEST, *TONE, *arguments, path)
    copy, remarks = copied(path, tmp_path)
    assert copy.suffix == suffix
    before, after = read_packets(path), read_packets(copy)
    assert after.time == pytest.approx(before.time, abs=0.0006 if suffix == ".mkv" else 1e-6)
    assert after.duration == pytest.approx(before.duration, abs=1 / 24)
    assert [word for word in ("FLAC", "AAC") if f"encoded again as {word}" in " ".join(remarks)] == [way] * (
        way in ("FLAC", "AAC")
    )
    if way == "copy":
        sounds = [packets_of(each, "0:a:0") for each in (path, copy)]
        if name == "aac.ts":  # MP4 holds AAC without the header of seven bytes that each packet has in a transport stream
            assert [packet[1] - 7 for packet in sounds[0]] == [packet[1] for packet in sounds[1]]
        else:
            assert [packet[1:] for packet in sounds[0]] == [packet[1:] for packet in sounds[1]]
        first = [packets_of(each)[0][0] for each in (path, copy)]
        late = [np.array([packet[0] for packet in each]) - begin for each, begin in zip(sounds, first, strict=True)]
        assert late[1] == pytest.approx(late[0], abs=0.002)
    elif way:
        plain = ["-f", "s16le", "-ac", "1", "-ar", "8000", "-"]
        heard = [np.frombuffer(ffmpeg("-i", each, *plain), np.int16) for each in (path, copy)]
        assert len(heard[1]) == pytest.approx(len(heard[0]), abs=8000 / 12)
        assert np.abs(heard[1].astype(int)).mean() == pytest.approx(np.abs(heard[0].astype(int)).mean(), rel=0.2)


def rich(folder: Path) -> Path:
    """Write a film with two languages, subtitles, chapters, a title, a font and a cover."""
    (folder / "s.srt").write_text("1\n00:00:00,200 --> 00:00:00,800\nHello\n")
    (folder / "font.ttf").write_bytes(b"\0\1\0\0" + bytes(500))
    chapters = "".join(f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={at}\nEND={at + 500}\ntitle=Part {at}\n" for at in (0, 500))
    (folder / "m.txt").write_text(f";FFMETADATA1\ntitle=My film\nartist=Me\n{chapters}")
    ffmpeg("-f", "lavfi", "-i", "color=red:s=32x32", "-frames:v", "1", folder / "cover.jpg")
    inputs = [*TEST, *TONE, *TONE, "-i", folder / "s.srt", "-i", folder / "m.txt", "-i", folder / "cover.jpg"]
    maps = [*(each for number in (0, 1, 2, 3) for each in ("-map", str(number))), "-map_metadata", "4", "-map_chapters", "4"]
    tags = ["-metadata:s:a:0", "language=jpn", "-metadata:s:a:1", "language=eng", "-metadata:s:a:1", "title=Commentary"]
    kinds = ["-disposition:a:0", "0", "-disposition:a:1", "default", "-disposition:s:0", "forced"]
    attached = ["-attach", folder / "font.ttf", "-metadata:s:t:0", "mimetype=font/ttf"]
    attached += ["-attach", folder / "cover.jpg", "-metadata:s:t:1", "mimetype=image/jpeg"]
    ffmpeg(*inputs, *maps, *H264, "-c:a", "aac", "-c:s", "ass", *tags, *kinds, *attached, folder / "rich.mkv")
    return folder / "rich.mkv"


def test_subtitles_chapters_fonts_covers_languages_titles_and_defaults_are_kept(tmp_path: Path) -> None:
    path = rich(tmp_path)
    copy, remarks = copied(path, tmp_path)
    assert not remarks
    assert sorted(streams_of(copy)) == sorted(streams_of(path))
    text = described(copy)
    for kept in (
        "My film",
        "Me\n",
        "Part 500",
        "Commentary",
        "font.ttf",
        "(eng): Audio: aac (LC), 48000 Hz, mono, fltp (default)",
    ):
        assert kept in text, kept
    assert re.search(r"Subtitle: ass.*\(forced\)", text) and "attached pic" in text
    assert b"Hello" in ffmpeg("-i", copy, "-map", "0:s:0", "-f", "srt", "-")


def test_what_mp4_cannot_hold_changes_the_container_and_is_said(tmp_path: Path) -> None:
    tracks = ["-i", rich(tmp_path), "-map", "0:v:0", "-map", "0:a", "-map", "0:s", "-c", "copy"]
    ffmpeg(*tracks, "-c:s", "ass", tmp_path / "a.nut")
    ffmpeg(*tracks, "-c:s", "mov_text", tmp_path / "a.mp4")
    copy, remarks = copied(tmp_path / "a.mp4", tmp_path)
    assert (copy.suffix, remarks) == (".mp4", [])
    assert "Subtitle: mov_text" in described(copy)
    copy, remarks = copied(tmp_path / "a.nut", tmp_path)
    assert copy.suffix == ".mkv" and "Subtitle: ass" in described(copy)
    assert remarks == [".mkv instead of .mp4, which cannot hold stream 3 (subtitles ssa)"]


def test_a_time_code_is_kept(tmp_path: Path) -> None:
    ffmpeg(*TEST, *H264, "-timecode", "01:00:00:00", tmp_path / "a.mov")
    copy, remarks = copied(tmp_path / "a.mov", tmp_path)
    assert not remarks
    assert described(copy).count("timecode        : 01:00:00:00") == described(tmp_path / "a.mov").count(
        "timecode        : 01:00:00:00"
    )


def test_timed_metadata_of_a_recorded_stream_are_named_and_cost_nothing_else(tmp_path: Path) -> None:
    ffmpeg(*TEST, *TONE, *H264, "-c:a", "aac", tmp_path / "a.ts")
    # Recordings of streams are often renamed.
    with av.open(tmp_path / "a.ts") as original, av.open(tmp_path / "a.mkv", "w", format="mpegts") as recorded:
        copies = [recorded.add_stream_from_template(stream) for stream in original.streams]
        metadata = recorded.add_data_stream("timed_id3")
        for packet in original.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                recorded.mux(packet)
        packet = av.Packet(b"ID3\x04\0\0\0\0\0\0")
        packet.stream, packet.pts, packet.dts, packet.time_base = metadata, 150000, 150000, Fraction(1, 90000)
        recorded.mux(packet)
    copy, remarks = copied(tmp_path / "a.mkv", tmp_path)
    assert remarks == ["stream 2 (data) is left out: .mp4 cannot hold it"]
    assert streams_of(copy) == ["Video", "Audio"]
    assert len(read_packets(copy)) == 24


def test_a_sound_track_that_ffmpeg_cannot_decode_is_named_and_costs_nothing_else(tmp_path: Path) -> None:
    ffmpeg(*TEST, *TONE, *TONE, "-map", "0", "-map", "1", "-map", "2", *H264, "-c:a", "aac", tmp_path / "a.mp4")
    # Like Apple's spatial sound in films of an iPhone 16.
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    at = data.find(b"mp4a", data.rfind(b"stsd"))
    data[at : at + 4] = b"apac"
    at = data.find(b"esds", at)
    data[at : at + 4] = b"free"
    (tmp_path / "a.mp4").write_bytes(data)
    copy, remarks = copied(tmp_path / "a.mp4", tmp_path)
    assert streams_of(copy) == ["Video", "Audio"]
    assert remarks == ["stream 2 (sound) is left out: .mp4 cannot hold it"]
    assert packets_of(copy, "0:a:0") == packets_of(tmp_path / "a.mp4", "0:a:0")


def with_stamps_of_sound(path: Path, copy: Path, change: Callable[[int, int], int]) -> Path:
    """Write the FLV file `path` to `copy`, the stamp of each packet of sound changed: of its number and its milliseconds."""
    data = bytearray(path.read_bytes())
    at, number = 13, 0
    while at < len(data):
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        if data[at] == 8:
            stamp = change(number, int.from_bytes(data[at + 4 : at + 7], "big") | data[at + 7] << 24).to_bytes(4, "big")
            data[at + 4 : at + 8] = stamp[1:] + stamp[:1]
            number += 1
        at += size + 15
    copy.write_bytes(data)
    return copy


@pytest.mark.parametrize(
    "change",
    [
        lambda number, stamp: stamp + 500 * (number == 20),
        lambda number, stamp: stamp + 10_000 * (number == 20),
        lambda number, stamp: stamp + 10_000 * (20 <= number < 25),
        lambda number, stamp: stamp * (number != 20),
        lambda number, stamp: stamp + 9 * 3_600_000 * (number > 45),
        lambda number, stamp: stamp - 500 * (number >= 24),
        lambda number, stamp: 0,
    ],
    ids=["ahead", "far ahead", "some ahead", "none", "hours ahead at the end", "again from the beginning", "all none"],
)
def test_sound_with_wrong_stamps_stays_with_the_pictures(change: Callable[[int, int], int], tmp_path: Path) -> None:
    ffmpeg(*TEST, *TONE, *H264, "-c:a", "aac", tmp_path / "right.flv")
    path = with_stamps_of_sound(tmp_path / "right.flv", tmp_path / "wrong.flv", change)
    sounds = [packets_of(copied(each, tmp_path)[0], "0:a:0") for each in (tmp_path / "right.flv", path)]
    assert [packet[1:] for packet in sounds[1]] == [packet[1:] for packet in sounds[0]]
    times = [[packet[0] for packet in each] for each in sounds]
    # Where no stamp is right, the sound begins at 0, and not at 0.062 s.
    assert times[1] == pytest.approx(times[0], abs=0.09)


def test_a_stamp_hours_ahead_makes_no_hours_of_silence(tmp_path: Path) -> None:
    ffmpeg(*TEST, *TONE, "-c:v", "flv", "-c:a", "nellymoser", "-ar", "44100", tmp_path / "right.flv")
    path = with_stamps_of_sound(
        tmp_path / "right.flv", tmp_path / "wrong.flv", lambda number, stamp: stamp + 7_200_000 * (number == 20)
    )
    sounds = [packets_of(copied(each, tmp_path)[0], "0:a:0") for each in (tmp_path / "right.flv", path)]
    assert len(sounds[1]) == pytest.approx(len(sounds[0]), abs=3)


def test_a_pause_in_sound_that_is_encoded_again_becomes_silence_of_its_length(tmp_path: Path) -> None:
    longer = ("8" if each == "1" else each for each in (*TEST, *TONE))
    ffmpeg(*longer, "-c:v", "wmv2", "-c:a", "wmav2", tmp_path / "a.wmv")
    path = tmp_path / "pause.wmv"
    ffmpeg("-i", tmp_path / "a.wmv", "-c", "copy", "-bsf:a", "noise=drop='between(pts,2000,6000)'", path)
    copy, _ = copied(path, tmp_path)
    heard = np.frombuffer(ffmpeg("-i", copy, "-map", "0:a:0", "-f", "s16le", "-ac", "1", "-ar", "8000", "-"), np.int16)
    assert len(heard) == pytest.approx(8 * 8000, abs=800)
    loudness = np.abs(heard[: 8 * 8000].reshape(8, 8000).astype(int)).mean(axis=1)
    assert loudness[3:5].max() < 5 < 500 < loudness[[0, 1, 7]].min()


@given(st.data())
def test_few_wrong_stamps_of_sound_cost_no_others(data: st.DataObject) -> None:
    step = data.draw(st.integers(2, 2000))
    right = [step * number for number in range(60)]
    # A missing stamp, or one that is wrong by at least a packet.
    wrong = st.none() | st.integers(-(2**62), 2**62)
    stated: list[int | None] = [*right]
    places = data.draw(st.sets(st.integers(1, 58), max_size=4))
    for place in places:
        stated[place] = data.draw(wrong)
    stamps = [Stamps(each, each, step) for each in stated]
    made = in_line(stamps, Fraction(1, 1000), Moves(end=Fraction(right[-1] + step, 1000)))
    assert all(before <= after for before, after in pairwise(made))
    # A wrong stamp that fits between its neighbours is not known as wrong, and may hide one beside it.
    assert [made[place] for place in range(60) if place not in places] == [
        right[place] for place in range(60) if place not in places
    ]


@pytest.mark.parametrize("suffix", ["mkv", "flv", "nut"])
@pytest.mark.parametrize("wrong", ["PREV_OUT{}", "{}-4000", "{}+9000"])
def test_a_wrong_stamp_of_sound_costs_nothing_else(suffix: str, wrong: str, tmp_path: Path) -> None:
    ffmpeg(*TEST, *TONE, *H264, "-c:a", "aac", tmp_path / "a.mp4")
    stamps = ":".join(f"{one.lower()}='if(eq(N,20),{wrong.format(one)},{one})'" for one in ("PTS", "DTS"))
    path = tmp_path / f"wrong.{suffix}"
    ffmpeg("-i", tmp_path / "a.mp4", "-c", "copy", "-bsf:a", f"setts={stamps}", path)
    copy, remarks = copied(path, tmp_path)
    assert not remarks
    assert len(packets_of(copy)) == 24
    sound = packets_of(copy, "0:a:0")
    assert [packet[1:] for packet in sorted(sound)] and len(sound) == len(packets_of(path, "0:a:0"))


def test_sound_that_becomes_stereo_in_between_is_heard_to_the_end(tmp_path: Path) -> None:
    for name, channels in (("one.m2ts", "1"), ("two.m2ts", "2")):
        ffmpeg(*TEST, *TONE, *H264, "-g", "12", "-c:a", "pcm_bluray", "-ac", channels, tmp_path / name)
    path = tmp_path / "joined.m2ts"
    path.write_bytes((tmp_path / "one.m2ts").read_bytes() + (tmp_path / "two.m2ts").read_bytes())
    copy, remarks = copied(path, tmp_path)
    assert [remark for remark in remarks if "left out" in remark or "cannot be written" in remark] == []
    heard = np.frombuffer(ffmpeg("-i", copy, "-f", "s16le", "-ac", "1", "-ar", "8000", "-"), np.int16).astype(int)
    assert len(heard) == pytest.approx(16000, abs=800)
    assert np.abs(heard[12000:15000]).mean() > np.abs(heard[1000:4000]).mean() / 2


def test_tags_that_the_container_cannot_hold_are_named(tmp_path: Path) -> None:
    ffmpeg(*TEST, *H264, "-movflags", "use_metadata_tags", "-metadata", "com.maker.model=A1", tmp_path / "a.mp4")
    _, remarks = copied(tmp_path / "a.mp4", tmp_path)
    assert remarks == ["the tags com.maker.model are left out: .mp4 cannot hold them"]


def test_two_recordings_in_one_file_stay_in_step(tmp_path: Path) -> None:
    ffmpeg(*TEST, *TONE, *H264, "-g", "12", "-c:a", "aac", tmp_path / "a.ts")
    path = tmp_path / "joined.ts"
    path.write_bytes((tmp_path / "a.ts").read_bytes() * 2)
    copy, _ = copied(path, tmp_path)
    pictures, sound = ([packet[0] for packet in packets_of(copy, which)] for which in ("0:V:0", "0:a:0"))
    single = [packet[0] for packet in packets_of(tmp_path / "a.ts", "0:a:0")]
    first = packets_of(tmp_path / "a.ts")[0][0]
    assert pictures[24] - pictures[0] == pytest.approx(1, abs=0.001)
    # The sound of the second recording begins as much before its picture as that of the first.
    at = len(sound) // 2
    assert sound[at] - pictures[24] == pytest.approx(single[0] - first, abs=0.03)


def test_a_film_begins_when_the_original_begins(tmp_path: Path) -> None:
    ffmpeg(*TEST, *TONE, *H264, "-c:a", "aac", "-output_ts_offset", "1.5", tmp_path / "a.mp4")
    ffmpeg("-i", tmp_path / "a.mp4", "-c", "copy", "-copyts", tmp_path / "a.mkv")
    ffmpeg("-itsoffset", "0.7", *TONE, *TEST, "-map", "1", "-map", "0", *H264, "-c:a", "aac", tmp_path / "late.mp4")
    for name in ("a.mp4", "a.mkv", "late.mp4"):
        copy, _ = copied(tmp_path / name, tmp_path)
        for stream in ("0:V:0", "0:a:0"):
            assert packets_of(copy, stream)[0][0] == pytest.approx(packets_of(tmp_path / name, stream)[0][0], abs=0.002), name


def test_spans_follow_each_other_with_their_sound(tmp_path: Path) -> None:
    ffmpeg(*TEST, *TONE, *H264, "-c:a", "aac", tmp_path / "a.mp4")
    copy, _ = copied(tmp_path / "a.mp4", tmp_path, spans=parse_spans(["0.25-0.5", "0.75-1"]))
    assert [packet[0] for packet in packets_of(copy)] == pytest.approx([number / 24 for number in range(12)], abs=0.001)
    sound = packets_of(copy, "0:a:0")
    assert sound[-1][0] == pytest.approx(0.5, abs=0.03)
    assert np.diff([packet[0] for packet in sound]) == pytest.approx(1024 / 48000, abs=0.012)


def test_the_chapters_of_spans_lie_where_their_pictures_are(tmp_path: Path) -> None:
    ffmpeg("-i", rich(tmp_path), "-map", "0:v:0", "-map", "0:a", "-c", "copy", tmp_path / "a.mp4")
    for spans, expected in {
        ("0.25-0.75",): [("0.000000", "0.250000", "Part 0"), ("0.250000", "0.500000", "Part 500")],
        ("0.6-0.7", "0.8-1"): [("0.000000", "0.300000", "Part 500")],
    }.items():
        copy, _ = copied(tmp_path / "a.mp4", tmp_path, spans=parse_spans(spans))
        found = re.findall(r"Chapter #\S+ start (\S+), end (\S+)\s+Metadata:\s+title\s+: (.*)", described(copy))
        assert found == expected


def test_a_constant_rate_repeats_and_drops_frames(tmp_path: Path) -> None:
    ffmpeg(*TEST, *TONE, "-vf", "select='not(between(n,5,9))'", "-fps_mode", "vfr", *H264, "-c:a", "aac", tmp_path / "a.mp4")
    for rate in (12, 60):
        copy, _ = copied(tmp_path / "a.mp4", tmp_path, rate=Fraction(rate))
        assert [packet[0] for packet in packets_of(copy)] == pytest.approx([n / rate for n in range(rate)], abs=0.001)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize("parts", [2, 5])
def test_parts_are_joined_as_if_there_was_one(parts: int, name: str, tmp_path: Path) -> None:
    ffmpeg(*TEST, *TONE, *H264, "-c:a", "aac", tmp_path / name)
    (tmp_path / "one").mkdir()
    whole, _ = copied(tmp_path / name, tmp_path / "one", Encoding(preset="medium"))
    joined, _ = copied(tmp_path / name, tmp_path, Encoding(preset="medium"), parts=parts)
    assert [packet[0] for packet in packets_of(joined)] == pytest.approx([packet[0] for packet in packets_of(whole)], abs=1e-4)
    assert len(ffmpeg("-i", joined, "-fps_mode", "passthrough", "-f", "rawvideo", "-")) == 24 * 96 * 64 * 3 // 2
    assert packets_of(joined, "0:a:0") == packets_of(whole, "0:a:0")


def test_an_unplanned_original_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"nothing")
    with pytest.raises(Exception, match="not a media file"):
        plan_tracks(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    ("name", "codec", "is_kept"), [("a.mp4", "av1", True), ("a.mkv", "hevc", True), ("a.mkv", "av1", False)]
)
def test_the_aspect_of_pixels_is_kept_or_named(name: str, codec: Codec, is_kept: bool, tmp_path: Path) -> None:
    path = tmp_path / name
    ffmpeg(*TEST, "-vf", "setsar=32/27", "-c:v", "libx264", path)
    copy, remarks = copied(path, tmp_path, Encoding(codec, 30))
    assert any("pixel aspect 32/27" in remark for remark in remarks) is not is_kept
    assert ("SAR 32:27" in described(copy)) is is_kept


@pytest.mark.parametrize(("codec", "is_kept"), [("h264", True), ("hevc", False), ("av1", False)])
def test_what_pictures_hold_beside_their_pixels_is_kept_or_named(codec: Codec, is_kept: bool, tmp_path: Path) -> None:
    # ATSC A/53, part 4
    captions = bytes.fromhex("b500314741393403c2fffc9420fcc8e9ff")
    active_format = bytes.fromhex("b500314454473141fa")
    message = b"".join(bytes([4, len(each)]) + each for each in (captions, active_format))
    ffmpeg(*TEST, "-c:v", "libx264", "-bf", "0", "-x264-params", "aud=1", tmp_path / "a.h264")
    delimiter = b"\0\0\0\1\x09"
    _, *units = (tmp_path / "a.h264").read_bytes().split(delimiter)
    held = [delimiter + unit[:1] + b"\0\0\0\1\x06" + message + b"\x80" + unit[1:] for unit in units]
    (tmp_path / "b.h264").write_bytes(b"".join(held))
    ffmpeg("-fflags", "+genpts", "-i", tmp_path / "b.h264", "-c", "copy", tmp_path / "b.mp4")
    copy, remarks = copied(tmp_path / "b.mp4", tmp_path, Encoding(codec, 30))
    said = " ".join(remarks)
    assert ("closed captions" in said) is not is_kept and "the active format" in said
    with av.open(copy) as container:
        assert all((side_data(picture, "A53_CC") == captions[10:16]) is is_kept for picture in container.decode(video=0))
