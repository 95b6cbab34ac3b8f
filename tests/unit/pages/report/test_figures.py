"""The figures of the report."""

import base64
import html
import json
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import cv2
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_report import detail, pictures

from tessera.core.errors import TesseraError
from tessera.core.ledger import Ledger, read_ledger, summarise
from tessera.core.markdown import front_matter
from tessera.imaging.figures import ORANGE, SKY
from tessera.imaging.masks import encode_rle
from tessera.pages.report.counts import Step, count_splits, count_step, draw_dropped, draw_funnel, tabulate_steps
from tessera.pages.report.pages import render_markdown, show_pictures, tabulate_metrics, tabulate_refused
from tessera.pages.report.samples import describe_marks, describe_mosaics, draw_predictions, draw_samples
from tessera.pages.report.settings import ReportSettings
from tessera.pages.report.tiles import (
    BLUR_SIDE,
    Picture,
    Shown,
    blur,
    choose_samples,
    choose_shown,
    draw_tiles,
    find_clear,
    sheet_of,
)
from tessera.pages.report.timings import draw_timings
from tessera.records.tables.annotation import Annotations, Images
from tessera.records.tables.footage import Sources
from tessera.records.tables.mosaics import Mosaics
from tessera.records.tables.splits import Splits
from tessera.records.tables.table import read_table, types, write_table
from tessera.records.tables.watermarks import Marks

STEPS = [
    Step("admission", "sources", 5, 3, {}, {"no rights": 1}, {"broken": 1}),
    Step("sampling", "images", 40, 38, {"cut off": 7}, {}, {r"$\nosuch$ <&>": 2}),
]
SPLITS = {"train": 30, "val": 8, "test": 0}


def test_counts_add_up(tmp_path: Path) -> None:
    with Ledger(tmp_path / "a") as ledger:
        ledger.row("1", "ok")
        ledger.row("2", "ok", "part lost")
        ledger.row("3", "failed", "broken")
    with Ledger(tmp_path / "b") as ledger:
        ledger.row("4", "dropped", "not wanted")
        ledger.row("5", "ok")
    step = count_step("sampling", "images", summarise(read_ledger(tmp_path / "a") + read_ledger(tmp_path / "b")))
    assert step == Step("sampling", "images", 5, 3, {"part lost": 1}, {"not wanted": 1}, {"broken": 1})
    assert step.rows == step.ok + sum(step.dropped.values()) + sum(step.failed.values())


def test_a_split_without_samples_counts_zero(tmp_path: Path) -> None:
    rows = [{"key": str(number), "source": "s", "split": split} for number, split in enumerate(["val", "train", "train"])]
    write_table(pl.DataFrame(rows, schema=types(Splits)), Splits, tmp_path / "splits.parquet")
    assert count_splits(tmp_path / "splits.parquet") == {"train": 2, "val": 1, "test": 0}


def test_equal_figures_are_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        draw_funnel(STEPS, SPLITS, tmp_path / name / "funnel.svg")
        draw_dropped(STEPS, tmp_path / name / "dropped.svg")
        _draw_samples(tmp_path / name)
    for figure in ("funnel.svg", "dropped.svg", "samples.html"):
        assert (tmp_path / "a" / figure).read_bytes() == (tmp_path / "b" / figure).read_bytes()
    assert b"<dc:date>" not in (tmp_path / "a" / "funnel.svg").read_bytes()


def test_figures_with_nothing_to_show_say_so(tmp_path: Path) -> None:
    empty = [Step("admission", "sources", 0, 0, {}, {}, {})]
    draw_funnel(empty, dict.fromkeys(SPLITS, 0), tmp_path / "funnel.svg")
    draw_dropped(empty, tmp_path / "dropped.svg")
    draw_timings(tmp_path, {"train_detector": False}, [], tmp_path / "timings.svg")
    for figure in tmp_path.iterdir():
        ElementTree.parse(figure)
    assert "nothing was left out" in (tmp_path / "dropped.svg").read_text(encoding="utf-8")


def test_names_in_figures_are_not_interpreted(tmp_path: Path) -> None:
    draw_dropped(STEPS, tmp_path / "dropped.svg")
    comments = re.findall(r"<!-- (.*?) -->", (tmp_path / "dropped.svg").read_text(encoding="utf-8"))
    assert r"sampling: $\nosuch$ <&>" in map(html.unescape, comments)


def test_the_table_of_steps_has_every_number(tmp_path: Path) -> None:
    tabulate_steps(STEPS, SPLITS, tmp_path / "counts.html")
    page = (tmp_path / "counts.html").read_text(encoding="utf-8")
    assert re.findall(r'<td class="number">([\d,]+)</td>', page) == ["5", "3", "1", "1", "40", "38", "7", "2", "30", "8", "0"]
    assert r"$\nosuch$ &lt;&amp;&gt;" in page


def test_names_of_refused_sources_are_escaped(tmp_path: Path) -> None:
    (tmp_path / "refused.tsv").write_text(
        'source\treason\n"a\nb\t""c"\tno rights\n<script>x</script>\tbroken\n', encoding="utf-8"
    )
    tabulate_refused(tmp_path / "refused.tsv", tmp_path / "refused.html")
    page = (tmp_path / "refused.html").read_text(encoding="utf-8")
    assert "<td>a\nb\t&quot;c</td><td>no rights</td>" in page
    assert "<script>" not in page


def test_the_page_says_that_no_source_was_refused(tmp_path: Path) -> None:
    (tmp_path / "refused.tsv").write_text("source\treason\n", encoding="utf-8")
    tabulate_refused(tmp_path / "refused.tsv", tmp_path / "refused.html")
    assert "No source was refused" in (tmp_path / "refused.html").read_text(encoding="utf-8")


def test_metrics_with_the_same_names_are_in_one_table(tmp_path: Path) -> None:
    val = {"box": {"map50": 0.123456, "recall": 1.0}, "mask": {"map50": 0.5, "recall": None}}
    ends = {"box": {"map50": [0.05, 0.25], "recall": None}}
    classes = {"soft_focus": {"box": {"map50": 0.25, "recall": 0.5}}}
    values = {"epochs": 5, "labels": ["clean", "soft"], "splits": {"val": {**val, "intervals": ends, "classes": classes}}}
    values["differences"] = {"my_model.onnx": 0.5}
    (tmp_path / "metrics.json").write_text(json.dumps(values), encoding="utf-8")
    tabulate_metrics({"Metrics": tmp_path / "metrics.json"}, tmp_path / "metrics.html")
    rows = re.findall("<tr>(.*?)</tr>", (tmp_path / "metrics.html").read_text(encoding="utf-8"))
    assert [re.findall("<t[dh].*?>(.*?)</t[dh]>", row) for row in rows] == [
        ["epochs", "5"],
        ["labels", "clean, soft"],
        ["", "mAP50", "recall"],
        ["Validation split, box", "0.1235 (0.05000 to 0.2500)", "1.000"],
        ["Validation split, mask", "0.5000", "no value"],
        ["Validation split, soft_focus, box", "0.2500", "0.5000"],
        ["", "my_model.onnx"],
        ["differences", "0.5000"],
    ]


def test_the_sources_of_a_datasheet_are_left_out_because_the_report_lists_them_once(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(
        "# A\n\n| source | rights |\n|---|---|\n| film | CC0 |\n\n| source | clips |\n|---|---|\n| reel | 2 |\n"
    )
    render_markdown(tmp_path / "a.md", tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "film" not in text and "reel" in text and text.count("<table>") == 1


def test_hostile_markdown_runs_nothing_and_loads_nothing(tmp_path: Path) -> None:
    hostile = "# A card\n\n| a |\n|---|\n| <script>x</script> |\n\n[x](javascript:x)\n\n![x](http://example.org/x.png)\n"
    (tmp_path / "card.md").write_text(front_matter({"license": "cc0-1.0"}) + hostile, encoding="utf-8")
    render_markdown(tmp_path / "card.md", tmp_path / "card.html")
    page = (tmp_path / "card.html").read_text(encoding="utf-8")
    assert "<h1>A card</h1>" in page and "license" not in page
    assert "<td>&lt;script&gt;x&lt;/script&gt;</td>" in page
    assert not re.search(r"<script|<img|href=.javascript", page)


def test_pictures_are_embedded_in_the_page_sorted_by_name(tmp_path: Path) -> None:
    for name in ("scores_val", "precision_recall", "losses"):
        (tmp_path / f"{name}.svg").write_text(f"<svg>{name}</svg>")
    show_pictures(tmp_path, "Curves", tmp_path / "curves.html")
    page = (tmp_path / "curves.html").read_text(encoding="utf-8")
    assert re.findall("<h2>(.*?)</h2>", page) == [
        "Losses",
        "Precision recall",
        "Validation split: predicted by true score",
    ]
    assert page.count('<div class="picture"') == 3, "wide figures scroll"
    assert base64.b64decode(re.findall('src="data:image/svg.xml;base64,(.*?)"', page)[0]) == b"<svg>losses</svg>"


def test_timings_leave_out_withdrawn_shards_and_add_up_the_rest(tmp_path: Path) -> None:
    for file, seconds, memory in (
        ("sample/a", 1.5, 100.0),
        ("sample/b", 2.0, "NA"),
        ("sample/gone", 50.0, 900.0),
        ("sort", 70.0, 5.0),
    ):
        path = tmp_path / f"{file}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"s": seconds, "max_rss": memory}) + "\n", encoding="utf-8")
    draw_timings(tmp_path, {"sample": True, "sort": False, "never_run": False}, ["a", "b"], tmp_path / "timings.svg")
    shown = re.findall(r"<!-- (.*?) -->", (tmp_path / "timings.svg").read_text(encoding="utf-8"))
    assert {"sample", "3.5 s, 2 jobs", "100 MB", "sort", "1:10 min, 1 job", "5 MB"} <= {text.strip() for text in shown}
    assert "never_run" not in shown


@given(st.integers(1, BLUR_SIDE), st.integers(2, 20), st.integers(0, 2**32 - 1))
def test_blur_keeps_only_the_means_of_a_few_blocks(rows: int, side: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 256, (rows, BLUR_SIDE, side * side, 3), dtype=np.uint8)
    shuffled = random.permuted(blocks, axis=2)
    one, other = (
        parts.reshape(rows, BLUR_SIDE, side, side, 3).swapaxes(1, 2).reshape(rows * side, BLUR_SIDE * side, 3)
        for parts in (blocks, shuffled)
    )
    before = one.copy()
    blurred = blur(one)
    assert (one == before).all()
    assert blurred.shape == one.shape and blurred.dtype == np.uint8
    assert (blurred == blur(other)).all()


@given(st.integers(1, 90), st.integers(1, 90))
def test_blur_takes_any_size(height: int, width: int) -> None:
    grey = np.full((height, width, 3), 100, np.uint8)
    assert (blur(grey) == grey).all()


def test_pictures_that_differ_only_in_detail_have_the_same_blur() -> None:
    fine = np.indices((240, 240)).sum(axis=0) % 2 * 255
    picture = np.repeat(fine[..., None], 3, axis=2).astype(np.uint8)
    assert (blur(picture) == blur(255 - picture)).all()


@given(st.sets(st.text(max_size=5), max_size=20), st.integers(1, 12), st.integers(0, 100), st.randoms())
def test_the_choice_of_samples_depends_only_on_the_keys_and_the_seed(
    keys: set[str], count: int, seed: int, random: object
) -> None:
    chosen = choose_samples(sorted(keys), count, seed, "val")
    assert chosen == choose_samples(sorted(keys, reverse=True), count, seed, "val")
    assert len(chosen) == len(set(chosen)) == min(count, len(keys))
    assert set(chosen) <= keys


def test_another_seed_chooses_other_samples() -> None:
    keys = [str(number) for number in range(1000)]
    assert choose_samples(keys, 12, 0, "val") != choose_samples(keys, 12, 1, "val")


class Region(NamedTuple):
    box: tuple[float, float, float, float]
    rle: str | None


def _draw_samples(folder: Path, clear: Collection[str] = ()) -> list[np.ndarray]:
    """Draw two samples, one with regions of all three kinds, and return them."""
    picture = np.zeros((60, 80, 3), np.uint8)
    picture[:, ::2] = 255
    images, splits = [], []
    for key in ("a", "b"):
        (folder / "images" / "val").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / "images" / "val" / f"{key}.png"), picture)
        images.append({"key": key, "source": "s", "path": "", "width": 80, "height": 60, "phash": 0, "split": "", "rights": ""})
        splits.append({"key": key, "source": "s", "split": "val"})
    masked = np.zeros((60, 80), np.uint8)
    masked[45:55, 50:70] = 255
    region = {"key": "a", "label": "nsfw", "x0": 0.0, "y0": 0.0, "x1": 20.0, "y1": 60.0, "crowd": False}
    ring, hole = [30.0, 5.0, 70.0, 5.0, 70.0, 40.0, 30.0, 40.0], [40.0, 10.0, 60.0, 10.0, 60.0, 30.0]
    regions = [
        {**region, "number": 0},
        {**region, "number": 1, "polygons": [[ring, hole]]},
        {**region, "number": 2, "rle": encode_rle(masked)},
    ]
    for rows, table, name in ((images, Images, "images"), (regions, Annotations, "annotations"), (splits, Splits, "splits")):
        write_table(pl.DataFrame(rows, schema=types(table)), table, folder / f"{name}.parquet")
    draw_samples(folder / "images", *_tables(folder), _shown(folder, clear), folder / "samples.html")
    return pictures(folder / "samples.html")


def test_samples_have_the_whole_names_of_their_sources_and_all_lines_of_their_captions(tmp_path: Path) -> None:
    lines = [f"line {number} " + "and more" * 20 for number in range(6)]
    picture = Picture("my%20%24%7B<b>%7D%2F%C3%A9-0000001", np.zeros((9, 9, 3), np.uint8), [], "\n".join(lines))
    draw_tiles([picture], {}, "Some <samples>", tmp_path / "samples.html")
    page = (tmp_path / "samples.html").read_text(encoding="utf-8")
    assert "<br>".join(["<figcaption>my ${&lt;b&gt;}/é-0000001", *lines, "no region</figcaption>"]) in page
    assert "<p>Some &lt;samples&gt;</p>" in page


def test_a_legend_names_each_colour_and_a_short_clip_leaves_its_row_empty(tmp_path: Path) -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[:, 20:] = 255
    tile = Picture("a", np.zeros((40, 40, 3), np.uint8), [("subject", mask)])
    page = sheet_of([tile, Picture("", np.zeros((1, 1, 3), np.uint8), [])], {"subject": ORANGE, "mark": SKY}, 2)
    assert re.findall('<li><span style="background: (.*?)"></span>(.*?)</li>', page) == [(ORANGE, "subject"), (SKY, "mark")]
    assert page.count("<figure ") == 1 and page.endswith("</figure><div></div></div>")


def _tables(folder: Path) -> list[Path]:
    return [folder / f"{name}.parquet" for name in ("images", "annotations")]


def _shown(folder: Path, clear: Collection[str] = ()) -> Shown:
    """Return both samples of `val`."""
    return Shown("val", read_table(folder / "splits.parquet", Splits)["key"].to_list(), clear, {})


def _count(sheet: np.ndarray, colour: str) -> int:
    """Return the number of pixels of about the `colour`, #rrggbb."""
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int((np.abs(sheet.astype(int) - wanted).max(axis=2) < 60).sum())


def test_only_clear_samples_are_not_blurred(tmp_path: Path) -> None:
    # The second sample has no outline.
    assert detail(_draw_samples(tmp_path)[1]) < 5
    assert detail(_draw_samples(tmp_path, {"a"})[1]) < 5, "the second is b"
    assert detail(_draw_samples(tmp_path, {"a", "b"})[1]) > 50


def _write_origins(folder: Path) -> tuple[Path, Path]:
    """Write the tables of samples, each named like its source, and of the sources; return both."""
    names = ["general", "adult", "stranger", "labels:general", "labels:adult", "watermarks:general/7", "watermarks:adult/7"]
    rows = [{"key": name, "source": name, "split": "val"} for name in names]
    write_table(pl.DataFrame(rows, schema=types(Splits)), Splits, folder / "splits.parquet")
    row = {name: kind.to_python()() for name, kind in types(Sources).items() if name in ("shard", "path", "reason", "rights")}
    row |= dict.fromkeys(("consent", "split", "series", "kind", "sha256"), "") | {"use": [], "size": 0}
    table = pl.DataFrame([{**row, "source": each, "content": each} for each in names[:2]], schema=types(Sources))
    write_table(table, Sources, folder / "sources.parquet")
    return folder / "splits.parquet", folder / "sources.parquet"


CONTENT_OF_SETS = {f"{kind}:{content}": content for kind in ("labels", "watermarks") for content in ("general", "adult")}


def test_pictures_of_adult_and_unknown_sources_are_blurred_by_default(tmp_path: Path) -> None:
    origins = _write_origins(tmp_path)
    clear = find_clear(*origins, CONTENT_OF_SETS, ReportSettings())
    assert clear == {"general", "labels:general", "watermarks:general/7"}
    assert find_clear(*origins, {}, ReportSettings()) == {"general"}


def test_all_pictures_or_none_are_blurred_if_the_setting_says_so(tmp_path: Path) -> None:
    origins = _write_origins(tmp_path)
    assert not find_clear(*origins, CONTENT_OF_SETS, ReportSettings(blur="all"))
    assert len(find_clear(*origins, CONTENT_OF_SETS, ReportSettings(blur="none"))) == 7


def test_a_figure_shows_as_many_samples_of_its_split_as_the_setting_says(tmp_path: Path) -> None:
    origins = _write_origins(tmp_path)
    shown = [
        choose_shown(origins[0], split, origins[1], {}, ReportSettings(samples=3), 0, {"adult": "a"})
        for split in ("val", "train")
    ]
    assert (len(shown[0].keys), len(shown[1].keys)) == (3, 0)
    assert set(shown[0].keys) <= {name for (name,) in read_table(origins[0], Splits).select("key").iter_rows()}
    assert (shown[0].split, shown[0].clear, shown[0].captions) == ("val", {"general"}, {"adult": "a"})
    assert [each.heading for each in shown] == ["3 of the 7 samples of val", "0 of the 0 samples of train"]


@pytest.mark.parametrize("samples", [1, 2, 4])
def test_samples_with_a_region_are_shown_first_and_the_backgrounds_are_counted(samples: int, tmp_path: Path) -> None:
    origins = _write_origins(tmp_path)
    box = {"number": 0, "label": "nsfw", "x0": 0.0, "y0": 0.0, "x1": 9.0, "y1": 9.0, "crowd": False}
    labelled = {"adult", "watermarks:adult/7"}
    rows = [{**box, "key": key} for key in (*labelled, "of another split")]
    write_table(pl.DataFrame(rows, schema=types(Annotations)), Annotations, tmp_path / "regions.parquet")
    settings = ReportSettings(samples=samples)
    shown = choose_shown(origins[0], "val", origins[1], {}, settings, 0, {}, tmp_path / "regions.parquet")
    assert len(shown.keys) == samples
    assert set(shown.keys[:2]) <= labelled and not labelled & set(shown.keys[2:])
    said = "of the 7 samples of val, those with a region first; backgrounds without a region: 5 of the 7"
    assert shown.heading == f"{samples} {said}"


def test_outlines_are_drawn_on_blurred_pictures(tmp_path: Path) -> None:
    outlined, plain = _draw_samples(tmp_path)
    assert _count(outlined, ORANGE) > 100 > _count(plain, ORANGE)


def test_predictions_and_labels_are_drawn(tmp_path: Path) -> None:
    _draw_samples(tmp_path)
    sizes = []

    def predict(images: Iterable[np.ndarray]) -> Iterator[list[Region]]:
        for image in images:
            sizes.append(image.shape)
            mask = np.zeros(image.shape[:2], np.uint8)
            mask[10:50, 20:60] = 255
            yield (
                [Region((0.0, 0.0, 70.0, 50.0), None), Region((20.0, 10.0, 60.0, 50.0), encode_rle(mask))]
                if len(sizes) == 2
                else []
            )

    picture = tmp_path / "predictions.html"
    draw_predictions(tmp_path / "images", *_tables(tmp_path), predict, _shown(tmp_path), picture)
    assert sizes == [(60, 80, 3)] * 2
    labelled, predicted = pictures(picture)
    assert _count(labelled, SKY) > 100 > 30 > _count(labelled, ORANGE)
    assert _count(predicted, ORANGE) > 100 > 30 > _count(predicted, SKY)


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    _draw_samples(tmp_path)
    (tmp_path / "images" / "val" / "a.png").write_bytes(b"not an image")
    with pytest.raises(TesseraError, match=r"image cannot be decoded: '.*a\.png'"):
        draw_samples(tmp_path / "images", *_tables(tmp_path), _shown(tmp_path), tmp_path / "samples.html")


def test_captions_have_the_parameters_of_mosaics_and_watermarks(tmp_path: Path) -> None:
    mosaic = {"key": "a", "label": "nsfw", "version": "v4", "anchor": "frame", "whole_blocks": 9, "seed": 0}
    mosaic |= {"origin_x": 0, "origin_y": 0, "x0": 0, "y0": 0, "x1": 9, "y1": 9}
    mosaic |= {"fine": False, "scale": 1, "blur": 0, "brightness": 1, "degradations": []}
    soft = {"type": "rect_avg", "block_width": 9, "block_height": 6, "feather": 4, "dilation": 5, "incomplete": True}
    hard = {"type": "squa_mid", "block_width": 3, "block_height": 3, "feather": 0, "dilation": 0, "incomplete": False}
    faint = {"block_height": 6 * 0.73, "block_width": 9 * 0.73, "scale": 0.73, "blur": 1.234, "brightness": 0.5}
    bar = {"block_height": None, "block_width": None, "bar_colour": "white", "bar_opacity": 0.75, "whole_blocks": None}
    rows = [mosaic | soft | {"number": 1}, mosaic | hard | {"number": 0}, mosaic | soft | faint | {"key": "b", "number": 0}]
    rows += [mosaic | hard | bar | {"type": "bar", "key": "c", "number": 0}]
    write_table(pl.DataFrame(rows, schema=types(Mosaics)), Mosaics, tmp_path / "mosaics")
    text = "v4 squa_mid 3 x 3\nv4 rect_avg 9 x 6, feather 4, grown by 5, cut blocks"
    fainter = "v4 rect_avg 6.6 x 4.4, feather 4, grown by 5, cut blocks\nscaled by 0.73, blur 1.2, brightness 0.5"
    assert describe_mosaics([tmp_path / "mosaics"]) == {"a": text, "b": fainter, "c": "white bar, opacity 0.75"}
    mark = {"key": "b", "kind": "logo", "content": "x.png", "size": 40, "opacity": 0.5, "angle": -3.2, "tiled": True}
    mark |= {"number": 0, "stroke": 0, "plate": 0.0, "first": 0, "regions": 1}
    row = {name: mark.get(name) for name in types(Marks)}
    write_table(pl.DataFrame([row], schema=types(Marks)), Marks, tmp_path / "marks")
    assert describe_marks([tmp_path / "marks"]) == {"b": "logo 40 px, opacity 0.50, -3°, tiled"}
    assert describe_mosaics([]) == describe_marks([]) == {}
