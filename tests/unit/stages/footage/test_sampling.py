"""Each mode samples the right frames, each has a row, and threads and shards do not matter."""

import shutil
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imageio_ffmpeg import get_ffmpeg_exe
from source_files import write_source_files

from tessera.core.errors import Dropped
from tessera.core.files import files_of
from tessera.core.ledger import read_ledger
from tessera.core.provenance import sha256_file
from tessera.imaging.encode import write_video
from tessera.imaging.hashing import perceptual_hash
from tessera.imaging.images import read_image, write_image
from tessera.imaging.probe import probe
from tessera.imaging.video import Packets, read_frames, read_packets
from tessera.records.tables.footage import Frames, SourceFiles, Sources
from tessera.records.tables.table import read_table, types, write_table
from tessera.stages.footage.sampling import FrameSettings, decimate, sample_frames, select_frames
from video_copies import ffmpeg

MEDIA = Path(__file__).parents[5] / "shared" / "media"
RAW = ["-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
needs_media = pytest.mark.skipif(not MEDIA.is_dir(), reason="real footage, ../shared/media, is not here")


def packets(times: list[float], keyframes: int = 4) -> Packets:
    count = np.arange(len(times))
    return Packets(count, np.array(times), count % keyframes == 0, count, count, count, True, Fraction(1), (), times[-1])


def chosen(times: list[float], **settings: Any) -> list[int]:
    return select_frames(packets(times), FrameSettings(**settings)).tolist()


TENTHS = [round(0.1 * number, 6) for number in range(21)]


def test_an_interval_takes_the_frame_on_the_screen() -> None:
    assert chosen(TENTHS, mode="interval", interval_seconds=0.5) == [0, 5, 10, 15, 20]
    assert chosen(TENTHS, mode="interval", interval_seconds=0.25) == [0, 2, 5, 7, 10, 12, 15, 17, 20]
    assert chosen(TENTHS, mode="interval", interval_seconds=100) == [0]
    assert chosen(TENTHS, mode="interval", interval_seconds=1e-6) == list(range(21))
    assert chosen([0, 0.1, 5.5, 5.55, 9.0], mode="interval", interval_seconds=1) == [0, 1, 3, 4], (
        "each frame once, however long it is shown"
    )


@given(
    gaps=st.lists(st.integers(1, 3000), max_size=30),
    interval=st.integers(1, 4000),
)
def test_an_interval_gives_the_frames_that_a_viewer_sees(gaps: list[int], interval: int) -> None:
    times = np.cumsum([0, *gaps])
    on_screen = {int(np.flatnonzero(times <= moment)[-1]) for moment in range(0, int(times[-1]) + 1, interval)}
    selected = chosen((times / 1000).tolist(), mode="interval", interval_seconds=interval / 1000)
    assert selected == sorted(on_screen)


def test_the_modes_every_keyframes_and_all_select_frames() -> None:
    assert chosen(TENTHS, mode="every", every_frames=6) == [0, 6, 12, 18]
    assert chosen(TENTHS, mode="keyframes") == [0, 4, 8, 12, 16, 20]
    assert chosen(TENTHS, mode="all") == chosen(TENTHS, mode="decimate") == list(range(21))


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("interval", [5, 15]), ("every", [5, 8, 11, 14]), ("keyframes", [8, 12]), ("all", list(range(5, 16)))],
)
def test_skipped_seconds_do_not_count(mode: str, expected: list[int]) -> None:
    assert (
        chosen(TENTHS, mode=mode, interval_seconds=1, every_frames=3, skip_start_seconds=0.5, skip_end_seconds=0.5) == expected
    )


def test_an_interval_takes_the_frame_that_is_shown_last() -> None:
    # At 29.97 frames per second, a clip of 10.010 s has 300 frames; the last is shown from 9.977 s on.
    times = [number / 29.97 for number in range(300)]
    film = replace(packets(times), duration=10.010)
    assert select_frames(film, FrameSettings(interval_seconds=1.0)).tolist()[-2:] == [269, 299]


def test_a_video_shorter_than_the_skipped_seconds_is_dropped() -> None:
    with pytest.raises(Dropped, match="shorter than what is skipped"):
        chosen(TENTHS, skip_start_seconds=1.5, skip_end_seconds=1)


def slideshow(path: Path) -> list[int]:
    """Write a video that changes at the returned frames, and hardly between them."""
    random = np.random.default_rng(3)
    changes = [0, 7, 8, 20, 33]
    images = []
    for number in range(40):
        if number in changes:
            image = random.integers(0, 256, (12, 16, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        image = image.copy()
        image[number % 96, 0] += 1
        images.append(image)
    write_video(path, images, 25)
    return changes


def plain_mpdecimate(path: Path, *filters: str) -> list[int]:
    """Return the frames that a plain run of FFmpeg keeps, by their number."""
    chain = ",".join([*filters, "setpts=N", "mpdecimate=hi=64*200:lo=64*50:frac=0.33"])
    command = [get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-map", "0:v:0", "-vf", chain]
    command += ["-fps_mode", "passthrough", "-enc_time_base", "demux", "-f", "framecrc", "-"]
    lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    return [int(line.split(",")[2]) for line in lines if not line.startswith("#")]


def test_decimate_keeps_what_changes(tmp_path: Path) -> None:
    changes = slideshow(tmp_path / "a.mp4")
    packets = read_packets(tmp_path / "a.mp4")
    assert decimate(tmp_path / "a.mp4", packets, np.arange(40)).tolist() == changes
    assert decimate(tmp_path / "a.mp4", packets, np.arange(10, 30)).tolist() == [10, 20]


@pytest.mark.parametrize("name", ["-i.mp4", "a 'b\" c\n.mp4", "%03d.mp4", "http:", "файл.mp4"])
def test_decimate_takes_any_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    changes = slideshow(Path("plain.mp4"))
    Path("plain.mp4").rename(name)
    assert decimate(Path(name), read_packets(Path(name)), np.arange(40)).tolist() == changes


def test_decimate_finds_the_frames_of_joined_recordings(tmp_path: Path) -> None:
    changes = slideshow(tmp_path / "a.mp4")
    ffmpeg("-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / "a.ts")
    path = tmp_path / "joined.ts"
    path.write_bytes((tmp_path / "a.ts").read_bytes() * 2)
    assert decimate(path, read_packets(path), np.arange(80)).tolist() == [*changes, *(40 + number for number in changes)]


@pytest.mark.parametrize(("turn", "size"), [("0", (128, 72)), ("90", (72, 128))])
@pytest.mark.parametrize(("stored", "aspect"), [((108, 72), Fraction(32, 27)), ((128, 54), Fraction(3, 4))])
def test_frames_of_anamorphic_films_have_square_pixels(
    stored: tuple[int, int], aspect: Fraction, turn: str, size: tuple[int, int], tmp_path: Path
) -> None:
    shape = f"testsrc2=s={stored[0]}x{stored[1]}:r=24,setsar={aspect.numerator}/{aspect.denominator}"
    ffmpeg("-f", "lavfi", "-t", "0.5", "-i", shape, "-c:v", "libx264", tmp_path / "a.mp4")
    ffmpeg("-display_rotation", turn, "-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / "turned.mp4")
    (frame,) = read_frames(tmp_path / "turned.mp4", read_packets(tmp_path / "turned.mp4"), [0])
    assert frame.square_image().shape[1::-1] == size
    assert frame.aspect == pytest.approx(float(aspect if turn == "0" else 1 / aspect))
    # The picture that FFmpeg shows.
    plain = ffmpeg("-i", tmp_path / "turned.mp4", "-frames:v", "1", "-vf", f"scale={size[0]}:{size[1]}", *RAW)
    shown = np.frombuffer(plain, np.uint8).reshape(*size[::-1], 3)
    assert np.abs(frame.square_image().astype(int) - shown).mean() < 10


def test_interlaced_frames_lose_their_combs(tmp_path: Path) -> None:
    moving = ["-f", "lavfi", "-t", "1", "-i", "testsrc2=s=96x64:r=50,scroll=h=0.05", "-vf", "interlace=lowpass=0"]
    ffmpeg(*moving, "-flags", "+ilme+ildct", "-c:v", "libx264", "-qp", "0", tmp_path / "a.mp4")
    (frame,) = read_frames(tmp_path / "a.mp4", read_packets(tmp_path / "a.mp4"), [10])

    def combs(image: np.ndarray) -> float:
        """Return how much a row differs from the mean of the rows above and below it."""
        rows = image.astype(float)
        return float(np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).mean())

    image = frame.square_image(deinterlace=True)
    assert combs(image) < combs(frame.image()) / 2
    assert np.array_equal(frame.square_image(), frame.image())
    # The first field is kept.
    assert np.abs(image[::2].astype(int) - frame.image()[::2]).mean() < 6
    assert probe(tmp_path / "a.mp4", "packets").scan == "interlaced, top field first"


@pytest.mark.slow
@needs_media
@pytest.mark.parametrize("name", ["dog.mp4", "tennis/tennis.mp4", "rotation_90.mov"])
def test_decimate_keeps_the_same_frames_of_real_footage_as_ffmpeg(name: str) -> None:
    packets = read_packets(MEDIA / name)
    indices = decimate(MEDIA / name, packets, np.arange(len(packets))).tolist()
    assert indices == plain_mpdecimate(MEDIA / name)
    assert 0 < len(indices) < len(packets)


@needs_media
def test_decimate_keeps_the_same_frames_of_a_part_as_ffmpeg() -> None:
    path = MEDIA / "tennis" / "tennis.mp4"
    indices = decimate(path, read_packets(path), np.arange(20, 50)).tolist()
    assert indices == [20 + number for number in plain_mpdecimate(path, "trim=start_frame=20:end_frame=50")]


def row(source: str, path: Path, kind: str) -> dict[str, Any]:
    texts = {name: "" for name, kind in types(Sources).items() if kind == pl.String}
    return {
        **texts,
        "source": source,
        "path": str(path),
        "kind": kind,
        "content": "general",
        "size": 1,
        "use": [],
    }


class Sampled:
    """The results of `sample_frames` for some sources."""

    def __init__(
        self,
        folder: Path,
        rows: list[dict[str, Any]],
        threads: int = 2,
        code: str = "code",
        stills: Path | None = None,
        **settings: Any,
    ) -> None:
        folder.mkdir(exist_ok=True)
        columns = types(Sources)
        data = [{name: given.get(name) for name in columns} for given in rows]
        write_table(pl.DataFrame(data, schema=columns), Sources, folder / "sources.parquet")
        self.images = folder / "images"
        shutil.rmtree(self.images, ignore_errors=True)
        held = {given["source"]: Path(given["path"]) for given in rows if given["kind"] in {"image", "folder"}}
        sample_frames(
            folder / "sources.parquet",
            stills or write_source_files(folder / "stills.parquet", **held),
            folder / "kept",
            FrameSettings(**settings),
            code=code,
            threads=threads,
            table=folder / "frames.parquet",
            images=self.images,
            ledger=folder / "ledger.jsonl",
        )
        self.table = read_table(folder / "frames.parquet", Frames)
        self.ledger = [(line["key"], line["status"], line["reason"]) for line in read_ledger(folder / "ledger.jsonl")]
        self.bytes = {path.name: path.read_bytes() for path in self.images.iterdir()}
        self.stored = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in self.images.iterdir()}


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a video, an image, a folder of images (one of them broken), and a broken video."""
    folder = tmp_path_factory.mktemp("footage")
    slideshow(folder / "a.mp4")
    image = np.random.default_rng(0).integers(0, 256, (9, 11, 3), np.uint8).repeat(10, 0).repeat(10, 1)
    write_image(folder / "one.png", image)
    (folder / "many").mkdir()
    for number in (1, 3):
        write_image(folder / "many" / f"{number}.png", np.roll(image, 7 * number, 1))
    (folder / "many" / "2.jpg").write_text("no image")
    (folder / "bad.mp4").write_text("no video")
    return folder


def test_a_frame_has_an_image_and_a_row_that_describes_it(footage: Path, tmp_path: Path) -> None:
    path = footage / "a.mp4"
    sampled = Sampled(tmp_path / "out", [row("my video/1", path, "video")], mode="every", every_frames=9, format="png")
    keys = [f"my%20video%2F1-{index:07d}" for index in (0, 9, 18, 27, 36)]
    assert sampled.table["key"].to_list() == keys
    assert sampled.table["index"].to_list() == [0, 9, 18, 27, 36]
    assert sampled.table["time"].to_list() == pytest.approx([0, 0.36, 0.72, 1.08, 1.44])
    assert sampled.ledger == [(key, "ok", "") for key in keys]
    assert sorted(sampled.bytes) == [f"{key}.png" for key in keys]
    plain = list(read_frames(path, read_packets(path)))
    for line in sampled.table.iter_rows(named=True):
        image = read_image(sampled.images / line["file"])
        assert np.array_equal(image, plain[line["index"]].image())
        assert (line["height"], line["width"]) == image.shape[:2]
        assert (line["phash"] ^ perceptual_hash(image)).bit_count() <= 2
        assert line["pts"] == plain[line["index"]].pts


def test_images_and_folders_give_a_frame_per_image(footage: Path, tmp_path: Path) -> None:
    rows = [row("one", footage / "one.png", "image"), row("many", footage / "many", "folder")]
    sampled = Sampled(tmp_path / "out", rows, mode="keyframes", skip_start_seconds=100)
    names = [file.name for file in files_of(footage / "many")]
    first, _, last = (f"many-{name}~{sha256_file(footage / 'many' / name)[:12]}" for name in names)
    assert sampled.table.select("key", "index", "name", "pts", "time").rows() == [
        ("one-0000000", 0, None, None, None),
        (first, 0, names[0], None, None),
        (last, 2, names[2], None, None),
    ]
    assert sampled.ledger == [
        ("one-0000000", "ok", ""),
        (first, "ok", ""),
        (last, "ok", ""),
        ("many/2.jpg", "failed", "image cannot be decoded"),
    ]


def test_exactly_the_admitted_pictures_are_sampled_and_one_that_changed_is_a_row(footage: Path, tmp_path: Path) -> None:
    folder = tmp_path / "album"
    shutil.copytree(footage / "many", folder)
    (folder / "notes.md").write_text("not a picture")
    rows = [row("album", folder, "folder")]
    before = Sampled(tmp_path / "out", rows, format="png")
    stills = tmp_path / "out" / "stills.parquet"
    table = read_table(stills, SourceFiles)
    remark = pl.DataFrame([{**dict.fromkeys(types(SourceFiles), ""), "source": "album", "path": "notes.md", "index": None}])
    remark = remark.with_columns(status=pl.lit("dropped"), reason=pl.lit("not a picture")).cast(types(SourceFiles))
    write_table(pl.concat([table, remark]), SourceFiles, stills)
    first, changed = (f"album-{name}~{sha256_file(folder / name)[:12]}" for name in ("1.png", "3.png"))
    shutil.copyfile(folder / "1.png", folder / "0.png")  # added after the admission
    write_image(folder / "3.png", np.zeros((90, 110, 3), np.uint8))  # changed after it
    after = Sampled(tmp_path / "out", rows, stills=stills, format="png")
    assert after.ledger == [
        (first, "ok", ""),
        (changed, "failed", "changed since it was checked"),
        ("album/2.jpg", "failed", "image cannot be decoded"),
        ("album/notes.md", "dropped", "not a picture"),
    ]
    assert after.bytes == {name: content for name, content in before.bytes.items() if name == f"{first}.png"}


def test_a_source_without_frames_has_a_row(footage: Path, tmp_path: Path) -> None:
    rows = [
        row("bad", footage / "bad.mp4", "video"),
        row("short", footage / "a.mp4", "video"),
        row("gone", tmp_path / "b", "video"),
    ]
    sampled = Sampled(tmp_path / "out", rows, skip_start_seconds=100)
    assert sampled.table.is_empty()
    assert sampled.ledger == [
        ("bad", "failed", "not a media file"),
        ("short", "dropped", "shorter than what is skipped"),
        ("gone", "failed", "missing"),
    ]


def test_frames_that_cannot_be_decoded_fail_and_the_others_are_kept(footage: Path, tmp_path: Path) -> None:
    import av

    path = tmp_path / "damaged.mp4"
    data = bytearray((footage / "a.mp4").read_bytes())
    with av.open(str(footage / "a.mp4")) as container:
        extents = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for position, size in extents[25:30]:
        data[position : position + size] = b"\xff" * size
    path.write_bytes(data)
    sampled = Sampled(tmp_path / "out", [row("a", path, "video")], mode="all")
    states = [status for _, status, _ in sampled.ledger]
    assert len(states) == 40
    assert 1 <= states.count("failed") <= 15
    assert sampled.table.height == states.count("ok") == len(sampled.bytes)
    assert {reason for _, status, reason in sampled.ledger if status == "failed"} == {"frame cannot be decoded"}


def test_a_video_that_is_only_restored_gives_no_frames(footage: Path, tmp_path: Path) -> None:
    video = row("a", footage / "a.mp4", "video")
    only = Sampled(tmp_path / "only", [{**video, "use": ["restore"]}])
    assert only.table.is_empty() and not only.bytes
    assert only.ledger == [("a", "dropped", "source is only restored")]
    both = Sampled(tmp_path / "both", [{**video, "use": ["mosaic_detection", "restore"]}])
    assert both.bytes == Sampled(tmp_path / "all", [video]).bytes != {}


def test_large_pictures_are_scaled_down(footage: Path, tmp_path: Path) -> None:
    sampled = Sampled(tmp_path / "out", [row("a", footage / "a.mp4", "video")], mode="every", every_frames=20, max_side=64)
    assert sampled.table.select("width", "height").rows() == [(64, 48)] * 2
    assert read_image(sampled.images / sampled.table["file"][0]).shape == (48, 64, 3)


def test_images_have_the_set_quality_and_format(footage: Path, tmp_path: Path) -> None:
    rows = [row("a", footage / "one.png", "image")]
    fine, coarse = (Sampled(tmp_path / f"{quality}", rows, quality=quality) for quality in (95, 10))
    assert len(coarse.bytes["a-0000000.jpg"]) < len(fine.bytes["a-0000000.jpg"])


@pytest.mark.parametrize("mode", ["all", "decimate"])
def test_threads_do_not_change_a_byte(mode: str, footage: Path, tmp_path: Path) -> None:
    rows = [row("a", footage / "a.mp4", "video"), row("many", footage / "many", "folder")]
    serial, parallel = (Sampled(tmp_path / f"{threads}", rows, threads=threads, mode=mode) for threads in (1, 3))
    assert serial.bytes == parallel.bytes
    assert serial.table.equals(parallel.table)
    assert serial.ledger == parallel.ledger


def test_frames_are_sampled_again_only_if_one_failed_or_a_dependency_changed(footage: Path, tmp_path: Path) -> None:
    rows = {
        "a": {**row("a", footage / "a.mp4", "video"), "sha256": "1"},
        "one": {**row("one", footage / "one.png", "image"), "sha256": "2"},
        "many": {**row("many", footage / "many", "folder"), "sha256": "3"},
    }

    def sample(**changes: Any) -> Sampled:
        return Sampled(tmp_path / "shard", list(rows.values()), **{"mode": "every", "every_frames": 20, **changes})

    before = sample()

    def made_again(after: Sampled) -> set[str]:
        taken_over = before.stored.items() & after.stored.items()
        return {name.partition("-")[0] for name in after.stored.keys() - dict(taken_over).keys()}

    same = sample(threads=1)
    assert made_again(same) == {"many"}, "an image of it failed"
    assert (same.bytes, same.ledger) == (before.bytes, before.ledger)
    assert same.table.equals(before.table)
    rows["one"]["sha256"] = "another"
    after = sample()
    assert made_again(after) == {"one", "many"}
    before = after
    del rows["one"]
    after = sample()
    assert made_again(after) == {"many"}
    assert len(list((tmp_path / "shard" / "kept").iterdir())) == 1, "the frames of withdrawn sources are removed"
    before = after
    after = sample(code="another")
    assert made_again(after) == {"a", "many"}
    before = after
    assert made_again(sample(code="another", quality=90)) == {"a", "many"}
