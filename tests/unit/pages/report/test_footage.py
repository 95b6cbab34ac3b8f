"""Footage is shown where its largest region is, as a close-up and whole, before and after its restoration."""

import base64
import io
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from clip_tables import write_sources
from PIL import Image

from tessera.core.ledger import Ledger
from tessera.imaging.encode import write_video
from tessera.imaging.side_by_side import GAP, caption_height
from tessera.pages.report.footage import SIDE, largest_regions, show_footage
from tessera.pages.report.pages import best_figures
from tessera.pages.report.settings import ReportSettings
from tessera.records.tables.scenes import SceneFrames, Scenes
from tessera.records.tables.table import types, write_table

WIDTH, HEIGHT, RATE = 320, 240, 8
TOP = caption_height(WIDTH)
# By scene: its first frame, and the box of its region, which stands still.
SCENES = {"film-0000000-000": (0, (0, 0, 40, 40)), "film-0000016-001": (16, (200, 100, 280, 180))}
LARGEST = "film-0000016-001"


@pytest.fixture
def tables(tmp_path: Path) -> list[Path]:
    rows, frames = [], []
    for number, (key, (first, (x0, y0, x1, y1))) in enumerate(SCENES.items()):
        usual = {"label": "nsfw", "frames": 8, "width": WIDTH, "height": HEIGHT, "score": 0.5, "detected": 8, "extension": 0}
        rows.append({"key": key, "source": "film", "track": number, "first": first, **usual})
        box = {"x0": x0, "y0": y0, "x1": x1, "y1": y1}
        frames += [{"key": key, "index": n, "pts": n, "time": n / RATE, "rle": "", **box} for n in range(first, first + 8)]
    for name, schema, content in (("scenes", Scenes, rows), ("frames", SceneFrames, frames)):
        write_table(pl.DataFrame(content, schema=types(schema)), schema, tmp_path / name)
    return [tmp_path / "scenes", tmp_path / "frames"]


def test_the_largest_region_is_that_of_most_pixels_times_frames(tables: list[Path]) -> None:
    (region,) = largest_regions(tables[:1], tables[1:]).values()
    assert (region.first, region.pixels) == (16, 8 * 80 * 80)
    assert region.box == pytest.approx((188 / WIDTH, 88 / HEIGHT, 292 / WIDTH, 192 / HEIGHT))


@pytest.mark.parametrize("content", ["general", "adult"])
def test_the_close_up_ranks_first_shows_the_region_on_both_sides_and_is_blurred_unless_general(
    content: str, tables: list[Path], tmp_path: Path
) -> None:
    def frames() -> Iterator[np.ndarray]:
        for _ in range(24):
            # Stripes in the largest region, darker where it is restored, and grey elsewhere.
            whole = np.full((TOP + HEIGHT, 2 * WIDTH + GAP, 3), 90, np.uint8)
            for left, level in ((0, 255), (WIDTH + GAP, 155)):
                whole[TOP + 100 : TOP + 180, left + 200 : left + 280] = level
                whole[TOP + 100 : TOP + 180, left + 200 : left + 280 : 8] = 0
            yield whole

    (tmp_path / "comparisons").mkdir()
    write_video(tmp_path / "comparisons" / "film.mp4", frames(), Fraction(RATE))
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        ledger.row("film", "ok", "", "2 regions")
        ledger.row("broken", "failed", "damaged", "at 1 s")
    sources = write_sources(tmp_path / "sources", {"film": {"content": content}})
    inputs = [tmp_path / "comparisons"], tables[:1], tables[1:], [tmp_path / "ledger.jsonl"], sources
    show_footage(*inputs, ["film", "broken", "refused"], ReportSettings(), tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<p>broken: damaged at 1 s</p>" in page and "<p>refused: source refused</p>" in page
    (close,) = best_figures(page, 1)
    assert "<br>2 regions<br>" in close and "hardly visible" not in close and f'data-rank="{8 * 80 * 80}"' in close
    data = re.search(r'class="moving"[^>]* src="data:image/webp;base64,(.*?)"', close)
    assert data
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(data[1]))).convert("RGB")).astype(int)
    side = (image.shape[1] - GAP) // 2
    assert SIDE // 2 < side <= SIDE
    before, after = image[side // 3 : side // 2, side // 5 : -side // 5][:, : side // 2], image[:, side + GAP + side // 5 :]
    assert before.max() > 180 and after[side // 3 : side // 2].max() < 180
    sharp = np.abs(np.diff(before, axis=1)).mean()
    assert (sharp > 15) == (content == "general")
    changed = re.search(r"pixels change by ([\d.]+) of 255", close)
    assert changed and 20 < float(changed[1]) < 80


def test_a_restoration_that_nobody_sees_is_said_to_be_one(tables: list[Path], tmp_path: Path) -> None:
    (tmp_path / "comparisons").mkdir()
    still = [np.full((TOP + HEIGHT, 2 * WIDTH + GAP, 3), 90, np.uint8)] * 24
    write_video(tmp_path / "comparisons" / "film.mp4", iter(still), Fraction(RATE))
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        ledger.row("film", "ok", "", "2 regions")
    sources = write_sources(tmp_path / "sources", {"film": {}})
    inputs = [tmp_path / "comparisons"], tables[:1], tables[1:], [tmp_path / "ledger.jsonl"], sources
    show_footage(*inputs, ["film"], ReportSettings(), tmp_path / "page.html")
    (close,) = best_figures((tmp_path / "page.html").read_text(encoding="utf-8"), 1)
    assert "here, pixels change by 0.0 of 255 levels on average, which is hardly visible" in close
