"""Boxes of watermarks fit what is visible, draws depend on the frame, and bad materials are named."""

import errno
import os
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from frame_shards import write_shard
from tessera.core.errors import TesseraError
from tessera.core.ledger import read_ledger
from tessera.core.seeds import generator
from tessera.imaging.watermark.drawing import (
    FIT,
    LEAST_MARK,
    VISIBLE,
    Materials,
    blend,
    draw_marks,
    load_materials,
    make_mark,
    read_logo,
)
from tessera.imaging.watermark.settings import DrawSettings
from tessera.records.tables.annotation import Annotations, Images
from tessera.records.tables.table import read_table
from tessera.records.tables.watermarks import Marks
from tessera.stages.watermarks import draw
from tessera.stages.watermarks.draw import draw_watermarks

ALWAYS = DrawSettings(clean=0, tiled=0)
TILED = DrawSettings(clean=0, tiled=1)


def noise(seed: int, height: int = 150, width: int = 200) -> np.ndarray:
    return np.random.default_rng(seed).integers(90, 160, (height, width, 3), np.uint8)


def logo(path: Path, mode: str = "RGBA") -> Path:
    """A yellow disc in the middle of a transparent image of 60 by 40 pixels; the visible part is 21 by 21."""
    y, x = np.mgrid[:40, :60]
    pixels = np.full((40, 60, 4), (250, 220, 20, 0), np.uint8)
    pixels[(x - 30) ** 2 + (y - 20) ** 2 <= 100, 3] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


@pytest.fixture(scope="module")
def materials(tmp_path_factory: pytest.TempPathFactory) -> Materials:
    folder = tmp_path_factory.mktemp("logos")
    logo(folder / "disc.png")
    return load_materials(DrawSettings(logos=folder))


def drawn(materials: Materials, settings: DrawSettings, count: int = 30) -> list[tuple[np.ndarray, np.ndarray, list[Any]]]:
    images = [noise(number) for number in range(count)]
    return [(image, *draw_marks(image, generator(0, "t", str(i)), materials, settings)) for i, image in enumerate(images)]


@pytest.mark.parametrize("settings", [ALWAYS, TILED])
def test_boxes_are_tight_around_all_drawn_pixels(materials: Materials, settings: DrawSettings) -> None:
    kinds = set()
    for before, after, marks in drawn(materials, settings):
        changed = (before != after).any(axis=2)
        for mark in marks:
            kinds.add(mark.kind)
            for x0, y0, x1, y1 in (map(int, box) for box in mark.boxes):
                inside = changed[y0:y1, x0:x1]
                assert inside.any() and min(inside.shape) >= LEAST_MARK
                if mark.opacity > 0.5:
                    # The edges of a glyph are faint, so a visible pixel may be a pixel or two inside the box.
                    assert inside[:3].any() and inside[-3:].any() and inside[:, :3].any() and inside[:, -3:].any()
                changed[y0:y1, x0:x1] = False
        assert marks and not changed.any()
    assert kinds == {"logo", "text"}


def test_the_box_of_a_logo_is_that_of_its_visible_part(tmp_path: Path) -> None:
    assert read_logo(logo(tmp_path / "disc.png")).shape == (21, 21, 4)
    settings = DrawSettings(clean=0, tiled=0, logo=1, rotation=0, logos=tmp_path, logo_size=(0.4, 0.4), marks=(1, 1))
    for before, after, (mark,) in drawn(load_materials(settings), settings, 5):
        ((x0, y0, x1, y1),) = mark.boxes
        assert (mark.content, mark.size, x1 - x0, y1 - y0) == ("disc.png", 60, 60, 60)
        # The corners of the box are outside of the disc.
        assert (before[int(y0), int(x0)] == after[int(y0), int(x0)]).all()


def test_a_mark_keeps_its_aspect_and_fits() -> None:
    materials = load_materials(DrawSettings())
    settings = DrawSettings(length=(40, 60), text_size=(0.5, 1))
    for number in range(10):
        _, layer = make_mark((100, 300), False, generator(0, "t", str(number)), materials, settings)
        assert layer.shape[1] <= 300 * FIT and layer.shape[0] <= 100 * FIT
        assert layer.shape[1] > layer.shape[0]


@given(st.integers(-40, 140), st.integers(-40, 110), st.integers(0, 2**32 - 1))
def test_blending_equals_the_obvious_loop(x: int, y: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (80, 100, 3), np.uint8)
    layer = random.integers(0, 256, (20, 30, 4), np.uint8)
    layer[..., 3] *= random.random((20, 30)) < 0.2
    result, free = image.copy(), np.ones((80, 100), bool)
    box = blend(result, free, layer, x, y)
    if box is None:
        assert (result == image).all() and free.all()
        return
    x0, y0, x1, y1 = map(int, box)
    visible = []
    for row in range(y0, y1):
        for column in range(x0, x1):
            *color, alpha = layer[row - y, column - x].astype(float)
            expected = image[row, column] + (np.array(color) - image[row, column]) * alpha / 255
            assert np.abs(result[row, column] - expected).max() <= 0.51
            if alpha >= VISIBLE:
                visible.append((column, row))
    columns, rows = zip(*visible, strict=True)
    assert (min(columns), min(rows), max(columns) + 1, max(rows) + 1) == (x0, y0, x1, y1)
    result[y0:y1, x0:x1] = image[y0:y1, x0:x1]
    assert (result == image).all()
    assert (~free).sum() == (x1 - x0) * (y1 - y0)


def test_invisible_watermarks_are_not_drawn() -> None:
    layer = np.full((20, 30, 4), 255, np.uint8)
    white = np.full((80, 100, 3), 250, np.uint8)
    assert blend(white, np.ones((80, 100), bool), layer, 5, 5) is None
    black, free = np.zeros((80, 100, 3), np.uint8), np.ones((80, 100), bool)
    assert blend(black, free, layer, -16, 5) is None
    assert blend(black, free, layer, -15, 5) == (0, 5, 15, 25)
    assert blend(black, free, layer, 14, 24) is None
    assert blend(black, free, layer, 15, 25) == (15, 25, 45, 45)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings", [{"opacity": (0.01, 0.05)}, {"texts": ["W" * 1000], "text_size": (0.2, 0.2), "rotation": 90}]
)
@pytest.mark.parametrize("tiled", [0, 1])
def test_watermarks_that_are_too_faint_or_too_long_are_not_drawn(settings: dict[str, Any], tiled: int) -> None:
    always = DrawSettings(clean=0, tiled=tiled, **settings)
    materials = load_materials(always)
    tracemalloc.start()
    for before, after, marks in drawn(materials, always, 2):
        assert marks or (before == after).all()
    assert tracemalloc.get_traced_memory()[1] < 10**8
    tracemalloc.stop()


def test_a_fraction_stays_clean_and_the_others_have_the_number_of_marks_of_the_setting(materials: Materials) -> None:
    results = drawn(materials, DrawSettings(clean=0.5, tiled=0, marks=(2, 3), text_size=(0.05, 0.08), logo_size=(0.1, 0.2)), 60)
    clean = [(before == after).all() for before, after, marks in results if not marks]
    assert all(clean) and 15 < len(clean) < 45
    assert {len(marks) for _, _, marks in results if marks} == {2, 3}


def test_a_tiled_mark_covers_the_frame(materials: Materials) -> None:
    settings = DrawSettings(clean=0, tiled=1, text_size=(0.04, 0.06), logo_size=(0.1, 0.1), opacity=(0.8, 0.9))
    for _, _, (mark,) in drawn(materials, settings, 10):
        boxes = np.array(mark.boxes)
        assert mark.tiled and len(boxes) >= 6
        assert (boxes[:, 2:].max(axis=0) > [133, 100]).all() and (boxes[:, :2].min(axis=0) < [67, 50]).all()


def test_draws_depend_on_the_frame_and_do_not_change_the_input(materials: Materials) -> None:
    image = noise(1)
    (first, marks), (second, again), (_, others) = (
        draw_marks(image, generator(0, "t", key), materials, ALWAYS) for key in ("a", "a", "b")
    )
    assert (first == second).all() and marks == again != others
    assert (image == noise(1)).all()


def test_drawn_texts_are_those_of_the_settings(materials: Materials) -> None:
    settings = DrawSettings(clean=0, tiled=0, logo=0, texts=("© tessera", "見本"), stroke=1, plate=1)
    marks = [mark for _, _, found in drawn(materials, settings, 10) for mark in found]
    assert {mark.content for mark in marks} == {"© tessera", "見本"}
    assert all(mark.stroke >= 1 and mark.plate >= 0.4 and str(mark.font).startswith("DejaVu") for mark in marks)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"texts": ["  "]}, "blank"),
        ({"texts": ["a\nb"]}, "unprintable"),
        ({"alphabet": " "}, "it is blank"),
        ({"marks": [3, 1]}, "the first limit should not be above the second"),
        ({"opacity": [0, 0.5]}, "greater than 0"),
        ({"clean": 1.5}, "less than or equal to 1"),
    ],
)
def test_a_wrong_setting_is_explained(settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        DrawSettings(**settings)


def test_bad_materials_are_all_named_at_once(tmp_path: Path) -> None:
    logo(tmp_path / "logos" / "good.png")
    (tmp_path / "logos" / "page.png").write_text("<!DOCTYPE html>")
    Image.new("RGBA", (1, 1), "red").save(tmp_path / "logos" / "dot.png")
    Image.new("RGBA", (50, 50), (255, 0, 0, 0)).save(tmp_path / "logos" / "ghost.png")
    (tmp_path / "fonts").mkdir()
    (tmp_path / "fonts" / "page.ttf").write_text("<!DOCTYPE html>")
    with pytest.raises(TesseraError, match=r"watermarks\.draw has 4 faults") as error:
        load_materials(DrawSettings(logos=tmp_path / "logos", fonts=tmp_path / "fonts"))
    for part in (
        "page.ttf' is not a font",
        "page.png' is not an image",
        "dot.png' has 1 by 1 visible pixels",
        "ghost.png' is fully",
    ):
        assert part in str(error.value)
    for name in ("logos/pipe.png", "fonts/pipe.ttf"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(TesseraError, match="has 6 fault") as error:
        load_materials(DrawSettings(logos=tmp_path / "logos", fonts=tmp_path / "fonts"))
    assert str(error.value).count("not a regular file") == 2
    (tmp_path / "empty").mkdir()
    with pytest.raises(TesseraError, match="contains no image") as error:
        load_materials(DrawSettings(logos=tmp_path / "empty", fonts=tmp_path / "none"))
    assert "contains no file .otf, .ttc, .ttf" in str(error.value)


def test_a_logo_without_opacity_is_a_rectangle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read_logo(logo(tmp_path / "opaque.png", "RGB")).shape == (40, 60, 4)
    assert read_logo(logo(tmp_path / "palette.png", "P")).shape[2] == 4
    assert (read_logo(logo(tmp_path / "grey.png", "LA"))[..., 3] > 0).any()


# A shard.


def run(folder: Path, out: Path, settings: DrawSettings, threads: int = 1) -> Path:
    out.mkdir()
    draw_watermarks(
        folder / "frames.parquet",
        folder / "frames",
        folder / "sources.parquet",
        ["watermark_detection"],
        settings,
        0,
        Path("results/images"),
        out / "images.parquet",
        out / "annotations.parquet",
        out / "images",
        out / "marks.parquet",
        out / "ledger.jsonl",
        threads,
    )
    return out


def test_every_frame_is_a_row_and_only_sources_for_the_dataset_give_images(tmp_path: Path) -> None:
    write_shard(tmp_path / "shard", {"a": [], "b": ["nsfw_detection"], "c": ["watermark_detection"]}, 5)
    out = run(tmp_path / "shard", tmp_path / "out", DrawSettings(frames_per_source=3, clean=0, tiled=0.5))
    images = read_table(out / "images.parquet", Images)
    reasons = {row["key"]: row["reason"] for row in read_ledger(out / "ledger.jsonl")}
    assert len(reasons) == 15
    assert {key for key, reason in reasons.items() if not reason} == set(images["key"])
    assert [images["source"].to_list().count(source) for source in "abc"] == [3, 0, 3]
    assert {reasons[f"b-{index:07d}"] for index in range(5)} == {"source not for watermark_detection"}
    assert list(reasons.values()).count("source has enough frames") == 4
    first = images.row(0, named=True)
    assert first["path"] == f"results/images/{first['key']}.jpg" and (out / "images" / f"{first['key']}.jpg").is_file()
    assert (first["width"], first["height"], first["split"], first["rights"]) == (160, 120, "val", "CC0")
    boxes = read_table(out / "annotations.parquet", Annotations)
    marks = read_table(out / "marks.parquet", Marks)
    assert boxes["label"].unique().to_list() == ["watermark"] and boxes["polygons"].is_null().all()
    for (key,), rows in marks.group_by("key", maintain_order=True):
        numbers = [number for row in rows.to_dicts() for number in range(row["number"], row["number"] + row["regions"])]
        assert numbers == boxes.filter(key=key)["number"].to_list()


def test_the_result_does_not_depend_on_threads_or_other_sources(tmp_path: Path) -> None:
    write_shard(tmp_path / "one", {"a": [], "b": []}, 4)
    write_shard(tmp_path / "two", {"b": []}, 4)
    settings = DrawSettings(max_side=100)
    files = []
    for number, (shard, threads) in enumerate([("one", 1), ("one", 3), ("two", 2)]):
        out = run(tmp_path / shard, tmp_path / f"out{number}", settings, threads)
        names = [path for path in out.rglob("*") if path.is_file() and path.name != "ledger.jsonl"]
        files.append({path.relative_to(out).as_posix(): path.read_bytes() for path in names})
    assert files[0] == files[1]
    ours = {name for name in files[0] if name.startswith("images/b-")}
    assert {name: files[0][name] for name in ours} == {name: files[2][name] for name in ours} and len(ours) == 4
    assert read_table(tmp_path / "out0" / "images.parquet", Images)["width"].unique().to_list() == [100]


def test_a_full_disk_ends_the_work_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def full(path: Path, *_: Any) -> None:
        tried.append(path)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(draw, "write_image", full)
    write_shard(tmp_path / "shard", {"a": []}, 30)
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path / "shard", tmp_path / "out", DrawSettings(), 2)
    assert len(tried) < 10


def test_a_font_may_have_any_file_name(tmp_path: Path) -> None:
    (tmp_path / "fonts").mkdir()
    shutil.copy(load_materials(DrawSettings()).fonts[0], tmp_path / "fonts" / os.fsdecode(b"\xff.ttf"))
    write_shard(tmp_path / "shard", {"a": []}, 1)
    out = run(tmp_path / "shard", tmp_path / "out", DrawSettings(clean=0, fonts=tmp_path / "fonts"))
    assert set(read_table(out / "marks.parquet", Marks)["font"]) == {"\ufffd.ttf"}


def test_a_missing_or_tiny_frame_is_a_row(tmp_path: Path) -> None:
    write_shard(tmp_path / "shard", {"a": []}, 2)
    (tmp_path / "shard" / "frames" / "a-0000001.png").unlink()
    out = run(tmp_path / "shard", tmp_path / "out", DrawSettings())
    assert [(row["status"], row["reason"]) for row in read_ledger(out / "ledger.jsonl")] == [("ok", ""), ("failed", "missing")]
    write_shard(tmp_path / "tiny", {"a": []}, 1, (40, 160))
    out = run(tmp_path / "tiny", tmp_path / "tiny out", DrawSettings())
    assert [row["reason"] for row in read_ledger(out / "ledger.jsonl")] == ["too small for a mark"]
    assert read_table(out / "images.parquet", Images).is_empty()
