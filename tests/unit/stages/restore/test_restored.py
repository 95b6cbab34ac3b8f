import io
import os
import shutil
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import polars as pl
import pytest
import skimage
from colour_blocks import decode_with_ffmpeg
from colour_blocks import ffmpeg as piped

from clip_shards import ClipShard, ellipse, film, moving, pictures
from tessera.core.errors import TesseraError
from tessera.core.ledger import Ledger, read_ledger
from tessera.imaging.crops import CropSettings
from tessera.imaging.encodable import closest_format, encodable, formats_of
from tessera.imaging.encode import write_video
from tessera.imaging.frame import display_matrix, planes_of, upright
from tessera.imaging.mosaic.blocks import Mosaic, pixelate
from tessera.imaging.mosaic.means import BESIDE
from tessera.imaging.sheets import GAP, LINE
from tessera.imaging.side_by_side import caption_height, halves
from tessera.imaging.video import read_frames, read_packets
from tessera.learning.block_network import read_network
from tessera.learning.weights.known import RESTORER_STARTER, known_weights, local_file
from tessera.records.tables.scenes import VideoDetections
from tessera.records.tables.table import types, write_table
from tessera.stages.restore import restored
from tessera.stages.restore.methods import BlockModel, ClipModel, Restore
from tessera.stages.restore.restored import gate_restored, restore_videos
from tessera.stages.restore.settings import RestoreSettings
from video_copies import described, ffmpeg

SIZE = 32
Row = tuple[str, ...]  # of a ledger
FOUND: tuple[Row, ...] = (("film", "ok"), ("plain", "ok"), ("refused", "dropped", "source refused", "no rights"))


def identity(clip: np.ndarray) -> np.ndarray:
    return clip


def restore_room(
    folder: Path,
    restore: Restore | BlockModel,
    out: str = "out",
    cache_key: str = "weights",
    found: Sequence[Row] = FOUND,
    **values: Any,
) -> dict[str, tuple[str, str]]:
    """Restore the sources in `folder` into `out` in it, and return the ledger. `found`: the ledger of the detection."""
    outputs = folder / out
    outputs.mkdir()
    with Ledger(folder / "found.jsonl") as ledger:
        for row in found:
            ledger.row(*row)
    restore_videos(
        folder / "sources.parquet",
        folder / "scenes.parquet",
        folder / "scene_frames.parquet",
        folder / "found.jsonl",
        restore if isinstance(restore, BlockModel) else ClipModel(restore),
        folder / "cache",
        cache_key=cache_key,
        settings=RestoreSettings(**{"window": 12, "overlap": 4, "quantizer": 0, "render": {"tile": 200}} | values),
        crops=CropSettings(border=8, size=32),
        size=SIZE,
        keep_aspect=False,
        videos=outputs / "videos",
        comparisons=outputs / "comparisons",
        sheets=outputs / "sheets",
        ledger=outputs / "ledger.jsonl",
    )
    return {row["key"]: (row["status"], row["reason"]) for row in read_ledger(outputs / "ledger.jsonl")}


def shade(clip: np.ndarray) -> np.ndarray:
    """Return `clip` changed so that each frame depends on all others."""
    return np.asarray((clip // 2 + clip.mean(axis=0) / 2).astype(np.uint8))


def invert(clip: np.ndarray) -> np.ndarray:
    return np.iinfo(clip.dtype).max - clip


def luma(path: Path) -> list[np.ndarray]:
    """Return the luma of each frame of `path`, upright."""
    frames = [frame.picture for frame in read_frames(path, read_packets(path))]
    return [upright(planes_of(picture)[0], display_matrix(picture)) for picture in frames if picture]


STAMPS = [7 * number + number % 3 for number in range(30)]  # milliseconds
TURN = 1 << 16


def steady(path: Path) -> Path:
    return film(path, pictures(30, 96, 128))


def variable(path: Path) -> Path:
    return film(path, pictures(30, 96, 128), pts=STAMPS)


def deep(path: Path) -> Path:
    return film(path, pictures(30, 96, 128), pts=STAMPS, pixel_format="yuv420p10le")


def odd(path: Path) -> Path:
    path = path.with_suffix(".mkv")
    write_stored(path, "ffv1", 129, 97)
    return path


def turned(path: Path) -> Path:
    write_stored(path, "libx264", 128, 96, (0, TURN, 0, -TURN, 0, 0, 0, 0, 1 << 30))
    return path


def write_stored(
    path: Path,
    codec: str,
    width: int,
    height: int,
    matrix: tuple[int, ...] = (),
    pixel_format: str = "yuv420p",
    count: int = 30,
) -> None:
    with av.open(path, "w") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        if matrix:
            stream.set_display_matrix(matrix)
        for image in pictures(count, height, width):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixel_format)))
        container.mux(stream.encode())


def whole(height: int, width: int, count: int) -> list[np.ndarray]:
    return [np.full((height, width), 255, np.uint8)] * count


def leaving(height: int, width: int, count: int) -> list[np.ndarray]:
    """Return masks of a region that leaves the frame on the right."""
    return [ellipse(height, width, (width - 12 + n, height // 2), (14, 12)) for n in range(count)]


@pytest.mark.parametrize(
    ("make", "masks"),
    [
        (variable, moving(96, 128, 20)),
        (deep, moving(96, 128, 20)),
        (odd, moving(97, 129, 20)),
        (turned, moving(128, 96, 20)),
        (steady, moving(96, 128, 1)),
        (steady, whole(96, 128, 20)),
        (steady, leaving(96, 128, 20)),
    ],
    ids=["variable rate", "10 bit", "odd", "turned", "one frame", "whole frame", "leaving"],
)
def test_only_the_pixels_of_regions_and_their_soft_edges_change(
    make: Callable[[Path], Path], masks: list[np.ndarray], tmp_path: Path
) -> None:
    shard = ClipShard(tmp_path)
    path = make(tmp_path / "film.mp4")
    shard.source("film", path)
    shard.source("plain", path)
    shard.scene("film", 5, masks)
    shard.write()
    found = restore_room(tmp_path, invert)
    assert found == {"film": ("ok", ""), "plain": ("dropped", "no mosaic found"), "refused": ("dropped", "source refused")}
    (copy,) = (tmp_path / "out/videos").iterdir()
    before, after = luma(path), luma(copy)
    assert np.abs(read_packets(path).time - read_packets(copy).time).max() < 1e-6
    height, width = masks[0].shape
    for index, (one, other) in enumerate(zip(before, after, strict=True)):
        mask = masks[index - 5] if 5 <= index < 5 + len(masks) else np.zeros((height, width), np.uint8)
        near = cv2.dilate(mask, np.ones((9, 9), np.uint8)) > 0
        assert np.array_equal(one[~near], other[~near])
        assert (one != other)[mask > 0].mean() > 0.9 if mask.any() else np.array_equal(one, other)
    assert (tmp_path / "out/sheets/film.jpg").stat().st_size > 0
    with av.open(tmp_path / "out/comparisons" / copy.name) as container:
        stream = container.streams.video[0]
        half = width // 2 * 2
        assert (stream.width, stream.height) == (2 * half + 4, height // 2 * 2 + caption_height(half))


@pytest.mark.parametrize("tagged", [True, False])
def test_the_comparison_shows_the_original_beside_what_was_restored(tagged: bool, tmp_path: Path) -> None:
    # A small film whose colours are tagged as those of comparisons is neither scaled nor converted for them.
    images, masks = pictures(30, 96, 128), moving(96, 128, 20)
    path = tmp_path / "film.mp4"
    if tagged:
        write_video(path, images, Fraction(25), quality=1)
    else:
        film(path, images)
    shard = ClipShard(tmp_path)
    shard.source("film", path)
    shard.scene("film", 5, masks)
    shard.write()
    restore_room(tmp_path, invert, found=[("film", "ok")])
    shown, restored = (tmp_path / "out" / folder / "film.mp4" for folder in ("comparisons", "videos"))
    for compared, *films in zip(*map(decode_with_ffmpeg, (shown, path, restored)), strict=True):
        for half, one in zip(halves(compared), films, strict=True):
            assert np.abs(half - one).mean() < 4
    inside = masks[0] > 0
    before, after = (half[inside] for half in halves(decode_with_ffmpeg(shown)[5]))
    assert np.abs(before - after).mean() > 30


@pytest.mark.parametrize("pixel_format", ["yuv420p10le", "yuv422p10le", "yuv444p12le", "gray16le", "gbrp10le"])
def test_a_region_of_a_deep_film_keeps_more_levels_than_8_bits_have(pixel_format: str, tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    width, height = 768, 48
    slope = np.broadcast_to(np.linspace(0, 65535, width).astype(np.uint16)[:, None], (3, height, width, 3))
    raw = "-f", "rawvideo", "-pix_fmt", "rgb48le", "-video_size", f"{width}x{height}", "-i", "-"
    piped(*raw, "-vf", f"scale=flags=accurate_rnd,format={pixel_format}", "-c:v", "ffv1", path, data=slope.tobytes())
    shard = ClipShard(tmp_path)
    shard.source("film", path)
    shard.scene("film", 0, whole(height, width, 3))
    shard.write()
    restore_room(tmp_path, identity, found=[("film", "ok")])
    decoded = [frame.picture for frame in read_frames(path, read_packets(path)) if frame.picture]
    stored = [encodable(picture, closest_format(picture, formats_of("libx264"))) for picture in decoded]
    for before, after in zip(stored, luma(tmp_path / "out/videos/film.mkv"), strict=True):
        assert len(np.unique(after)) > 600
        # The square that is restored has 32 columns, between which the slope is straight. It is flat at its ends.
        assert np.abs(after.astype(int) - planes_of(before)[0])[:, 24:-24].max() <= 4


@pytest.mark.parametrize(
    ("codec", "pixel_format", "suffix"),
    [("png", "rgb24", "mov"), ("qtrle", "argb", "mov"), ("ffv1", "gbrp10le", "mkv"), ("libx264rgb", "rgb24", "mkv")],
)
def test_films_in_rgb_keep_their_colours(codec: str, pixel_format: str, suffix: str, tmp_path: Path) -> None:
    path, colour = tmp_path / f"film.{suffix}", (200, 60, 90)
    write_stored(path, codec, 128, 96, pixel_format=pixel_format, count=4)
    shard, masks = ClipShard(tmp_path), moving(96, 128, 4)
    shard.source("film", path)
    shard.scene("film", 0, masks)
    shard.write()
    # 8 or 16 bits.
    restore_room(
        tmp_path, lambda clip: np.full_like(clip, np.array(colour) * (np.iinfo(clip.dtype).max // 255)), found=[("film", "ok")]
    )
    before, after = (decode_with_ffmpeg(each) for each in (path, tmp_path / "out/videos" / path.name))
    for one, other, mask in zip(before, after, masks, strict=True):
        near = cv2.dilate(mask, np.ones((9, 9), np.uint8)) > 0
        assert np.abs(other - one)[~near].max() <= 1
        assert np.abs(other - colour)[mask > 0].max() <= 1


def test_the_ledger_and_the_sheet_say_in_which_frames_nothing_was_found(tmp_path: Path) -> None:
    shard = ClipShard(tmp_path)
    images = pictures(30, 96, 128)
    for name, masks in (("film", moving(96, 128, 20)), ("whole", moving(96, 128, 30))):
        shard.source(name, film(tmp_path / f"{name}.mp4", images))
        shard.scene(name, 0, masks)
    shard.write()
    restore_room(tmp_path, invert, found=[("film", "ok"), ("whole", "ok")])
    rows = {row["key"]: row["detail"] for row in read_ledger(tmp_path / "out/ledger.jsonl")}
    assert rows == {
        "film": "1 region; restored in 20 of 30 frames, nothing found in 10",
        "whole": "1 region; restored in 30 of 30 frames, nothing found in 0",
    }
    # A band of frames without a region is added where there are any.
    heights = {name: cv2.imread(str(tmp_path / f"out/sheets/{name}.jpg")).shape[0] for name in rows}
    tile = 200 * 96 // 128
    assert heights["film"] - heights["whole"] == tile + 2 * (LINE + GAP)


def test_a_region_after_a_change_of_size_is_restored_at_its_place(tmp_path: Path) -> None:
    # The second part is twice as large. It is scaled to the size of the first, in which the copy is encoded.
    parts = [
        film(tmp_path / f"{side}.ts", pictures(10, side, side), pts=[40 * (n + start) for n in range(10)], bf="0")
        for side, start in ((96, 0), (192, 10))
    ]
    path = tmp_path / "film.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    shard, mask = ClipShard(tmp_path), ellipse(192, 192, (150, 150), (24, 18))
    shard.source("film", path)
    shard.scene("film", 11, [mask] * 8)
    shard.write()
    assert restore_room(tmp_path, invert)["film"] == ("ok", "")
    untouched = restore_room(tmp_path, identity, "same", cache_key="other")
    assert untouched["film"] == ("ok", "")
    before, after = (np.stack(luma(tmp_path / out / "videos/film.mp4")) for out in ("same", "out"))
    assert np.array_equal(before[:11], after[:11])
    small = cv2.resize(mask, (96, 96), interpolation=cv2.INTER_AREA)
    near = cv2.dilate(small, np.ones((13, 13), np.uint8)) > 0
    for one, other in zip(before[11:19], after[11:19], strict=True):
        assert np.array_equal(one[~near], other[~near])
        assert (one != other)[small == 255].mean() > 0.9


def test_hundreds_of_regions_in_a_frame_and_one_in_the_only_frame_are_restored(tmp_path: Path) -> None:
    shard = ClipShard(tmp_path)
    centres = {"film": [(x, y) for y in range(6, 120, 12) for x in range(6, 240, 12)], "plain": [(60, 60)]}
    for name, count in (("film", 3), ("plain", 1)):
        shard.source(name, film(tmp_path / f"{name}.mp4", pictures(count, 120, 240)))
        for track, (x, y) in enumerate(centres[name]):
            mask = np.zeros((120, 240), np.uint8)
            mask[y - 2 : y + 2, x - 2 : x + 2] = 255
            shard.scene(name, 0, [mask] * count, track)
    shard.write()
    assert len(centres["film"]) == 200
    for out, restore in (("out", white), ("same", identity)):
        rows = restore_room(tmp_path, restore, out, cache_key=out)
        assert rows["film"] == rows["plain"] == ("ok", "")
    for name, places in centres.items():
        after, before = (luma(tmp_path / out / "videos" / f"{name}.mp4") for out in ("out", "same"))
        assert len(after) == len(before) == (3 if name == "film" else 1)
        assert all(image[y, x] > 230 for image in after for x, y in places)
        assert not all(image[y, x] > 230 for image in before for x, y in places)


def white(clip: np.ndarray) -> np.ndarray:
    return np.full_like(clip, 255)


def refuse(clip: np.ndarray) -> np.ndarray:
    raise TesseraError("called")


def test_what_was_restored_is_not_restored_again(tmp_path: Path) -> None:
    shard = ClipShard(tmp_path)
    shard.source("film", film(tmp_path / "film.mp4", pictures(30, 96, 128)))
    shard.scene("film", 5, moving(96, 128, 20))
    shard.write()
    restore_room(tmp_path, invert)
    restore_room(tmp_path, refuse, "again")
    files = [f"{folder}/film.{suffix}" for folder, suffix in (("videos", "mp4"), ("comparisons", "mp4"), ("sheets", "jpg"))]
    assert all((tmp_path / "out" / file).read_bytes() == (tmp_path / "again" / file).read_bytes() for file in files)
    with pytest.raises(TesseraError, match="called"):
        restore_room(tmp_path, refuse, "other", feather=0.1)


def test_a_restoration_that_is_killed_again_and_again_makes_the_same_bytes(tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    killed.mkdir()
    shard = ClipShard(killed)
    shard.source("film", film(tmp_path / "film.mp4", pictures(60, 96, 128)))
    shard.scene("film", 5, moving(96, 128, 50))
    shard.write()
    shutil.copytree(killed, whole)
    code = """
import sys, time
from pathlib import Path
from test_restored import restore_room, shade
from tessera.stages.restore import restored

def slow(clip):
    time.sleep(0.4)
    return shade(clip)

restored.WINDOWS = 1
restore_room(Path(sys.argv[1]), slow, sys.argv[2])
"""
    places = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    parts = 0
    for run in range(4):
        process = subprocess.Popen([sys.executable, "-c", code, killed, f"out{run}"], env={**os.environ, "PYTHONPATH": places})
        while len(list(killed.glob("parts/[!.]*"))) == parts:
            assert process.poll() is None
            time.sleep(0.002)
        process.kill()
        process.wait()
        assert not [*killed.glob("cache/[!.]*"), *killed.glob("out*/*/*")]
        parts = len(list(killed.glob("parts/[!.]*")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restored, "WINDOWS", 1)
        restored_frames: list[int] = []
        restore_room(killed, lambda clip: restored_frames.append(len(clip)) or shade(clip), "again")
        restore_room(whole, shade, "again")
    # At most 4 of 8 windows were left, and one more is restored again.
    assert len(restored_frames) <= 5
    made = list((whole / "again").rglob("film.*"))
    assert len(made) == 3
    for path in made:
        assert (killed / path.relative_to(whole)).read_bytes() == path.read_bytes()
    assert len(list((killed / "cache").iterdir())) == 1
    assert not list((killed / "parts").iterdir())


def test_only_its_spans_are_in_the_restored_film(tmp_path: Path) -> None:
    shard = ClipShard(tmp_path)
    path = film(tmp_path / "film.mp4", pictures(60, 96, 128))
    shard.source("film", path)
    shard.scene("film", 5, moving(96, 128, 50))
    shard.write()
    asked: list[int] = []
    restore_room(tmp_path, lambda clip: asked.append(len(clip)) or invert(clip), spans={"film": ["0.4-0.8", "0:01.6-0:02"]})
    (row,) = [row for row in read_ledger(tmp_path / "out/ledger.jsonl") if row["key"] == "film"]
    assert row["detail"] == "1 region; restored in 20 of 20 frames, nothing found in 0"
    assert sum(asked) <= 20 + 2 * 4
    copy = tmp_path / "out/videos/film.mp4"
    assert read_packets(copy).time == pytest.approx(np.arange(20) / 25, abs=1e-6)
    masks = moving(96, 128, 50)
    before, after = luma(path), luma(copy)
    for index, one in zip([*range(10, 20), *range(40, 50)], after, strict=True):
        near = cv2.dilate(masks[index - 5], np.ones((9, 9), np.uint8)) > 0
        assert np.array_equal(one[~near], before[index][~near])
    with pytest.raises(ValueError, match="'1:00' is no time span; write for example 90-95"):
        RestoreSettings(spans={"film": ["1:00"]})


def damaged_shard(folder: Path, damaged: Sequence[int]) -> ClipShard:
    """Return a shard with a film of 30 frames, of which the `damaged` ones cannot be decoded."""
    path = folder / "film.mov"
    ffmpeg("-i", film(folder / "sound.mp4", pictures(30, 96, 128)), "-c:v", "mjpeg", "-q:v", "2", path)
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for position, size in (places[index] for index in damaged):
        data[position : position + size] = bytes(size)
    path.write_bytes(data)
    shard = ClipShard(folder)
    shard.source("film", path)
    shard.scene("film", 2, moving(96, 128, 25))
    shard.write()
    return shard


def test_a_part_of_which_no_frame_can_be_decoded_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restored, "WINDOWS", 1)
    damaged_shard(tmp_path, range(8, 16))
    assert restore_room(tmp_path, invert)["film"] == ("ok", "")
    (row,) = [row for row in read_ledger(tmp_path / "out/ledger.jsonl") if row["key"] == "film"]
    assert "nothing found in 5, 8 cannot be decoded" in row["detail"]
    assert read_packets(tmp_path / "out/videos/film.mov").time[8] == pytest.approx(16 / 25, abs=1e-6)


@pytest.mark.parametrize("rate", [None, 50])
def test_frames_that_cannot_be_decoded_leave_no_gap(rate: float | None, tmp_path: Path) -> None:
    damaged_shard(tmp_path, [0, 1, 12, 13, 14])
    assert restore_room(tmp_path, invert, rate=rate)["film"] == ("ok", "")
    copy = tmp_path / "out/videos/film.mov"
    time = read_packets(copy).time
    count = 30 if rate is None else 60
    assert len(time) == count and time == pytest.approx(np.arange(count) * (1.2 / count), abs=1e-6)
    images = [frame.image().astype(int) for frame in read_frames(copy, read_packets(copy))][:: count // 30]
    assert all(np.abs(images[lost] - images[shown]).mean() < 2 for lost, shown in ((0, 2), (1, 2), (12, 11), (14, 11)))


def test_what_differs_from_the_original_is_said(tmp_path: Path) -> None:
    path = film(tmp_path / "silent.mp4", pictures(30, 96, 128))
    sounded = tmp_path / "film.avi"
    tone = ["-f", "lavfi", "-t", "1", "-i", "sine=r=44100"]
    ffmpeg("-i", path, *tone, "-map", "0", "-map", "1", "-c:v", "mjpeg", "-c:a", "adpcm_ima_wav", sounded)
    shard = ClipShard(tmp_path)
    shard.source("film", sounded)
    shard.scene("film", 5, moving(96, 128, 20))
    shard.write()
    restore_room(tmp_path, invert)
    (row,) = [row for row in read_ledger(tmp_path / "out/ledger.jsonl") if row["key"] == "film"]
    assert row["status"] == "ok"
    remark = "stream 1 (sound adpcm_ima_wav) is encoded again as AAC, 96 kbit/s per channel: .mp4 cannot hold it"
    assert f"; {remark}" in row["detail"]


@pytest.mark.parametrize("codec", ["hevc", "av1"])
def test_a_film_is_restored_in_the_codec_and_the_format_of_the_settings(codec: str, tmp_path: Path) -> None:
    shard = ClipShard(tmp_path)
    shard.source("film", film(tmp_path / "film.mp4", pictures(12, 96, 128)))
    shard.scene("film", 2, moving(96, 128, 8))
    shard.write()
    restore_room(tmp_path, invert, codec=codec, pixel_format="yuv420p10le", quantizer=20, rate=50)
    assert f"Video: {codec}" in described(tmp_path / "out/videos/film.mp4")
    assert "yuv420p10le" in described(tmp_path / "out/videos/film.mp4")
    assert len(read_packets(tmp_path / "out/videos/film.mp4")) == 24
    with pytest.raises(ValueError, match="with av1, it can be source, yuv420p, yuv420p10le"):
        RestoreSettings(codec="av1", pixel_format="yuv444p")


def test_equal_settings_give_equal_bytes_and_the_tags_of_the_source_at_every_run(tmp_path: Path) -> None:
    # Where two threads share a picture, about one run in eight loses its tags.
    tags = "format=yuv420p10le,setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc:range=tv"
    path = tmp_path / "film.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=160x120:r=25", "-frames:v", "2", "-vf", tags, "-c:v", "ffv1", path)
    shard = ClipShard(tmp_path)
    shard.source("film", path)
    shard.scene("film", 0, moving(120, 160, 2))
    shard.write()
    made = []
    for run in range(40):
        restore_room(tmp_path, invert, f"out{run}", str(run), [("film", "ok")], window=2, overlap=0)
        made.append((tmp_path / f"out{run}/videos/film.mkv").read_bytes())
    assert set(made) == {made[0]}
    assert "bt2020nc/bt2020/smpte2084" in described(path)
    assert "bt2020nc/bt2020/smpte2084" in described(tmp_path / "out0/videos/film.mkv")


def test_a_source_that_cannot_be_read_fails_alone(tmp_path: Path) -> None:
    shard = ClipShard(tmp_path)
    for name in ("film", "plain"):
        shard.source(name, film(tmp_path / f"{name}.mp4", pictures(12, 96, 128)))
        shard.scene(name, 2, moving(96, 128, 8))
    shard.write()
    (tmp_path / "film.mp4").write_bytes(b"nothing")
    assert restore_room(tmp_path, invert)["film"] == ("failed", "not a media file")
    assert [path.name for path in (tmp_path / "out/videos").iterdir()] == ["plain.mp4"]


def test_the_masks_of_a_long_video_are_no_python_objects_all_at_once(tmp_path: Path) -> None:
    shard = ClipShard(tmp_path)
    shard.source("film", film(tmp_path / "film.mp4", pictures(300, 16, 16)))
    shard.scene("film", 0, [np.full((16, 16), 255, np.uint8)] * 300)
    scene, frames = shard.scenes.pop(), [*shard.frames]
    shard.frames.clear()
    mask = "a" * 1000
    for number in range(20):
        own = {"key": f"film-{number}", "first": 300 * number}
        shard.scenes.append({**scene, **own})
        shard.frames += [{**row, "key": own["key"], "index": row["index"] + own["first"], "rle": mask} for row in frames]
    shard.write()
    (tmp_path / "film.mp4").write_bytes(b"nothing")
    tracemalloc.start()
    assert restore_room(tmp_path, refuse)["film"] == ("failed", "not a media file")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 300 * len(mask)


def test_without_any_mosaic_nothing_but_the_reason_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard, terminal = ClipShard(tmp_path), io.StringIO()
    monkeypatch.setattr("tessera.core.log._terminal", terminal)
    shard.source("plain", film(tmp_path / "plain.mp4", pictures(12, 96, 128)))
    shard.write()
    rows = restore_room(tmp_path, refuse, found=[("plain", "ok"), ("film", "failed", "no frames", "the stream has no packet")])
    assert rows == {"plain": ("dropped", "no mosaic found"), "film": ("failed", "no frames")}
    assert not [path for name in ("videos", "comparisons", "sheets") for path in (tmp_path / "out" / name).iterdir()]
    ledger = tmp_path / "out" / "ledger.jsonl"
    videos = ledger.with_name("videos")
    detections = tmp_path / "detections.parquet"
    row = {
        "source": "plain",
        "index": 0,
        "number": 0,
        "label": "mosaic",
        "rle": None,
        "x0": 0.0,
        "y0": 0.0,
        "x1": 8.0,
        "y1": 8.0,
    }
    for scores, said in (
        ([], "no mosaic found in plain: nothing at all was detected, so that lower limits do not help; if there is one, train"),
        (
            [0.12, 0.1],
            "no mosaic found in plain (confidence at most 0.12, grid at most 0.0); if there is one, lower",
        ),
    ):
        rows = [{**row, "number": number, "score": score} for number, score in enumerate(scores)]
        write_table(pl.DataFrame(rows, schema=types(VideoDetections)), VideoDetections, detections)
        gate_restored([ledger], [videos], [detections], ["plain"], [], 50, summary=tmp_path / "summary.json")
        assert said in terminal.getvalue() and "0 restored videos\n" in terminal.getvalue()
        terminal.truncate(0)
    with pytest.raises(
        TesseraError, match=r"1 of 2 sources cannot be restored:\n  film: no frames: the stream has no packet\n"
    ):
        gate_restored([ledger], [videos], [detections], ["plain", "film"], [], 50, summary=tmp_path / "summary.json")


def test_the_gate_says_where_videos_lie_and_stops_for_sources_that_were_refused_or_are_no_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr("tessera.core.log._terminal", terminal)
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "my film.mkv").touch()
    rows = (
        ("my film", "ok", "", "in 2 of 9 frames"),
        ("adult", "dropped", "source refused", "no consent"),
        ("mug", "dropped", "not a video", "image"),
    )
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        for row in rows:
            ledger.row(*row)
    summary = tmp_path / "summary.json"
    inputs = [tmp_path / "ledger.jsonl"], [tmp_path / "videos"], []
    with pytest.raises(TesseraError, match=r"2 of 3 .*\n  adult: source refused: no consent\n  mug: not a video: image\n"):
        gate_restored(*inputs, [key for key, *_ in rows], [], 50, summary=summary)
    assert f"'my film': {tmp_path}/videos/my film.mkv (in 2 of 9 frames)\n" in terminal.getvalue() and not summary.exists()


@pytest.mark.parametrize(
    ("starters", "said"),
    [
        ([], []),
        (
            ["detector"],
            ["the starter detector learned", "mosaics that the detector missed, and for what it took for one (docs/"],
        ),
        (["restorer"], ["the starter restorer learned", ": the restorer knows edges, and no things", "come back (docs/"]),
        (["detector", "restorer"], ["the starter detector and restorer learned", "took for one; the restorer knows edges"]),
    ],
)
def test_the_gate_says_what_the_starter_models_are(
    starters: list[str], said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr("tessera.core.log._terminal", terminal)
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "film.mkv").touch()
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        ledger.row("film", "ok")
    inputs = [tmp_path / "ledger.jsonl"], [tmp_path / "videos"], [], ["film"]
    gate_restored(*inputs, starters, 50, summary=tmp_path / "summary.json")
    assert terminal.getvalue().count("starter") == bool(starters)
    assert all(text in terminal.getvalue() for text in said)


@pytest.mark.parametrize("count", [3, 4])
def test_the_gate_says_where_more_mosaics_may_be_than_are_detected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr("tessera.core.log._terminal", terminal)
    (tmp_path / "videos").mkdir()
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        for source in ("one", "many"):
            ledger.row(source, "ok")
    frames = {"one": [3, 3], "many": [1, count]}  # the detections in each frame
    box = {"label": "nsfw", "score": 0.5, "rle": None, "x0": 0.0, "y0": 0.0, "x1": 8.0, "y1": 8.0}
    rows = [
        {"source": source, "index": index, "number": number, **box}
        for source, counts in frames.items()
        for index, detected in enumerate(counts)
        for number in range(detected)
    ]
    detections = tmp_path / "detections.parquet"
    write_table(pl.DataFrame(rows, schema=types(VideoDetections)), VideoDetections, detections)
    inputs = [tmp_path / "ledger.jsonl"], [tmp_path / "videos"], [detections], ["one", "many"]
    gate_restored(*inputs, [], 4, summary=tmp_path / "summary.json")
    said = "many: in a frame, 4 regions were detected, the most that `restore.detect.max_regions` allows; if there are more"
    assert (said in terminal.getvalue()) == (count == 4)
    assert "one: in a frame" not in terminal.getvalue()


def test_overlaps_beyond_half_of_a_window_are_refused() -> None:
    with pytest.raises(ValueError, match="`overlap` is 5, which is more than half of `window`, 8"):
        RestoreSettings(window=8, overlap=5)


# Restored by the blocks of their mosaic

BLOCK = 8


@pytest.fixture(scope="module")
def starter() -> BlockModel:
    network = read_network(local_file(known_weights()[RESTORER_STARTER].source))
    assert network is not None
    return BlockModel(network.picture)


def covered(step: int) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Return pictures, their masks, and pictures with a mosaic there, whose grid moves by `step` pixels a frame."""
    photo = skimage.data.coffee()
    clean = [np.ascontiguousarray(photo[40:184, 100 + n : 308 + n]) for n in range(24)]
    masks = [ellipse(144, 208, (84 + 2 * n, 70), (52, 44)) for n in range(24)]
    mosaics = [Mosaic("squa_avg", BLOCK, BLOCK, origin=(3 + step * n, 5), incomplete=True) for n in range(24)]
    return clean, masks, [pixelate(*each) for each in zip(clean, masks, mosaics, strict=True)]


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le"])
@pytest.mark.parametrize("step", [0, 2])
def test_the_starter_restores_mosaics_and_leaves_other_pixels_as_they_are(
    step: int, pixel_format: str, starter: BlockModel, tmp_path: Path
) -> None:
    clean, masks, mosaicked = covered(step)
    shard = ClipShard(tmp_path)
    path = film(tmp_path / "film.mp4", mosaicked, pixel_format=pixel_format)
    shard.source("film", path)
    shard.scene("film", 2, masks[2:])
    shard.write()
    codec = "h264" if pixel_format == "yuv420p" else "hevc"  # which is lossless
    assert restore_room(tmp_path, starter, found=[("film", "ok")], codec=codec) == {"film": ("ok", "")}
    original = luma(film(tmp_path / "clean.mp4", clean, pixel_format=pixel_format, crf="1"))
    (made,) = (tmp_path / "out" / "videos").iterdir()
    before, after = luma(path), luma(made)
    assert len(before) == len(after) == 24
    for index, (one, other, mask, true) in enumerate(zip(before, after, masks, original, strict=True)):
        if index < 2:
            assert np.array_equal(one, other)
            continue
        reach = (BESIDE + 1) * BLOCK + 6  # with the soft edge
        near = cv2.dilate(mask, np.ones((2 * reach + 1,) * 2, np.uint8)) > 0
        assert np.array_equal(one[~near], other[~near])
        inside = mask > 0
        errors = [((each.astype(float) - true)[inside] ** 2).mean() for each in (one, other)]
        assert errors[1] < 0.8 * errors[0]


def test_regions_in_which_no_grid_is_seen_stay_as_they_are(starter: BlockModel, tmp_path: Path) -> None:
    clean, masks, _ = covered(0)
    shard = ClipShard(tmp_path)
    path = film(tmp_path / "film.mp4", clean)
    shard.source("film", path)
    shard.scene("film", 0, masks)
    shard.write()
    restore_room(tmp_path, starter, found=[("film", "ok")])
    for one, other in zip(luma(path), luma(tmp_path / "out/videos/film.mp4"), strict=True):
        assert np.array_equal(one, other)
    (row,) = read_ledger(tmp_path / "out/ledger.jsonl")
    assert "restored in 0 of 24 frames, nothing found in 0, 24 left as they are: no grid of blocks is clear" in row["detail"]


def test_parts_of_a_film_make_no_difference_and_windows_hardly_any_if_the_grid_stays(
    starter: BlockModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, masks, mosaicked = covered(0)
    shard = ClipShard(tmp_path)
    shard.source("film", film(tmp_path / "film.mp4", mosaicked))
    shard.scene("film", 0, masks)
    shard.write()
    pictures = []
    for window, overlap, windows in ((12, 4, 10), (12, 4, 1), (48, 8, 10), (3, 1, 2)):
        monkeypatch.setattr(restored, "WINDOWS", windows)
        out = f"{window} {windows}"
        restore_room(tmp_path, starter, out, found=[("film", "ok")], cache_key=out, window=window, overlap=overlap)
        pictures.append(luma(tmp_path / out / "videos" / "film.mp4"))
    whole, in_parts, *others = pictures
    assert len(whole) == 24 and np.array_equal(whole, in_parts)
    # A window of three frames knows less of what is behind the blocks.
    assert all(np.abs(np.stack(each).astype(int) - np.stack(whole)).mean() < 1 for each in others)
