"""The figures of restoration show all measurements, and only clear pictures are not blurred."""

import base64
import io
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from small_report import detail, pictures

from restoration_clips import write_moving_clip
from tessera.core.errors import TesseraError
from tessera.imaging.encode import write_video
from tessera.imaging.images import write_image
from tessera.pages.report.clips import PREVIEW_SIDE
from tessera.pages.report.restoration import METHODS, draw_methods, draw_stages, show_restored, shown_sheets
from tessera.pages.report.settings import ReportSettings
from tessera.stages.restoration.evaluate import evaluate
from tessera.stages.restoration.settings import DataSettings, MetricsSettings

SIDE = 64
ENLARGED = PREVIEW_SIDE // SIDE  # small clips are shown larger
SETTINGS = ReportSettings()


def texts(path: Path) -> list[str]:
    """Return the texts in an SVG."""
    return [text.strip() for text in re.findall(r"<!-- (.*?) -->", path.read_text(encoding="utf-8"))]


def write_curves(path: Path, names: Iterable[str], iterations: Iterable[int], rise: float = 0.01) -> Path:
    lines = [",".join(["iteration", *names, "psnr", "mosaicked"])]
    lines += [f"{n}{',0.5' * len(list(names))},{f'{20 + n * rise},19.5' if n % 50 == 0 else ','}" for n in iterations]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_curves_of_all_stages_are_drawn_one_after_another(tmp_path: Path) -> None:
    first = write_curves(tmp_path / "1.csv", ["pixel"], range(10, 201, 10))
    second = write_curves(tmp_path / "2.csv", ["pixel", "adversarial"], range(10, 101, 10))
    for name in ("a", "b"):
        draw_stages({"stage1": first, "stage2": second}, tmp_path / f"{name}.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    shown = texts(tmp_path / "a.svg")
    titles = ["PSNR over the region, on clips of val, dB", "pixel loss", "adversarial loss"]
    assert [text for text in shown if text in titles] == titles
    assert {"stage1", "stage2", "iteration", "300"} <= set(shown)


def test_the_curves_show_the_input_and_the_numbers_of_the_axis_are_whole(tmp_path: Path) -> None:
    curves = write_curves(tmp_path / "1.csv", ["pixel"], range(10, 201, 10), rise=1e-6)
    # Without the input, the axis spans a few thousandths of a dB.
    curves.write_text(curves.read_text(encoding="utf-8").replace("19.5", "20.0"), encoding="utf-8")
    draw_stages({"stage1": curves}, tmp_path / "stages.svg")
    shown = texts(tmp_path / "stages.svg")
    assert {"the model", "its input, the mosaicked clips"} <= set(shown)
    assert "mosaicked loss" not in shown and not [text for text in shown if text.startswith("+")]
    assert len([text for text in shown if text.startswith("20.000")]) > 1


def test_a_training_without_curves_gives_a_figure_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("iteration,pixel,psnr\n", encoding="utf-8")
    for curves in ({}, {"stage1": tmp_path / "empty.csv"}):
        draw_stages(curves, tmp_path / "stages.svg")
        assert "nothing was trained" in texts(tmp_path / "stages.svg")


def reached(samples: int, psnr: float) -> dict[str, Any]:
    methods = ("mosaicked", "bicubic", "temporal_median", "restored")
    values = {name: {"psnr": psnr + place, "ssim": 0.5 + place / 10} for place, name in enumerate(methods)}
    return {"samples": samples, "region": values, "frame": values} if samples else {"samples": 0}


def test_methods_are_compared_by_blocks_with_the_number_of_samples(tmp_path: Path) -> None:
    val = {"all": reached(1300, 20), "blocks": {"below 8": reached(1300, 20), "8 and more": reached(0, 0)}}
    test = {"all": reached(0, 0), "blocks": {"below 8": reached(0, 0), "8 and more": reached(0, 0)}}
    (tmp_path / "metrics.json").write_text(json.dumps({"splits": {"val": val, "test": test}}), encoding="utf-8")
    draw_methods(tmp_path / "metrics.json", tmp_path / "methods.svg")
    shown = texts(tmp_path / "methods.svg")
    assert {"all (1,300)", "blocks below 8 (1,300)", "+3.0", "+0.300"} <= set(shown)
    assert {"val: PSNR, dB", "val: SSIM"} <= set(shown) and not any(text.startswith("test") for text in shown)
    assert {"mosaicked", "bicubic", "temporal median", "restored"} <= set(shown)


def test_equal_values_of_methods_do_not_hide_each_other(tmp_path: Path) -> None:
    group = reached(4, 20)
    group["region"] = dict.fromkeys(group["region"], group["region"]["bicubic"])
    content = {"splits": {"val": {"all": group, "blocks": {"below 8": group}}}}
    (tmp_path / "metrics.json").write_text(json.dumps(content), encoding="utf-8")
    draw_methods(tmp_path / "metrics.json", tmp_path / "methods.svg")
    page = (tmp_path / "methods.svg").read_text(encoding="utf-8")
    markers = re.findall(r'<use [^>]*x="([\d.]+)" y="([\d.]+)" style="fill: (#\w+); stroke: #\w+"', page)
    of_columns: dict[str, list[float]] = {}
    for x, y, _ in markers[: -len(METHODS)]:  # without those of the legend
        of_columns.setdefault(x, []).append(float(y))
    for heights in of_columns.values():
        assert len(heights) == 2 * len(METHODS) and np.diff(sorted(heights)).min() > 5
    assert len(of_columns) == 2


def test_an_evaluation_without_clips_gives_a_figure_that_says_so(tmp_path: Path) -> None:
    content = {"splits": {"val": {"all": {"samples": 0}, "blocks": {"any size": {"samples": 0}}}}}
    (tmp_path / "metrics.json").write_text(json.dumps(content), encoding="utf-8")
    draw_methods(tmp_path / "metrics.json", tmp_path / "methods.svg")
    assert "no clip was measured" in texts(tmp_path / "methods.svg")


def write_pictures(folder: Path, blocks: Iterable[float] = (6.0,)) -> Path:
    """Write the files of the evaluation, with panels of fine red, green and blue stripes, to identify each by its colour."""
    (folder / "val").mkdir(parents=True)
    gap = np.full((SIDE, 4, 3), 255, np.uint8)
    panels = []
    for channel in range(3):
        panel = np.zeros((SIDE, SIDE, 3), np.uint8)
        panel[:, ::2, channel] = 255
        panels += [gap, panel]
    triptych = np.concatenate(panels[1:], axis=1)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.circle(mask, (SIDE // 2, SIDE // 2), SIDE // 4, 255, -1)
    rows = []
    for block in blocks:
        name = f"val/{block:05.1f}px-clip"
        write_image(folder / f"{name}.png", triptych)
        write_image(folder / f"{name}.mask.png", mask)
        write_video(folder / f"{name}.mp4", [np.maximum(triptych, n) for n in range(0, 120, 10)], 24, quality=4)
        psnr = {"mosaicked": 21.0, "restored": 24.5}
        rows.append({"sheet": "val", "split": "val", "key": f"clip <{block}>", "name": name, "block": block, "psnr": psnr})
    (folder / "pictures.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder


def animations(page: Path) -> list[Image.Image]:
    found = re.findall(r'class="moving"[^>]* src="data:image/webp;base64,(.*?)"', page.read_text(encoding="utf-8"))
    return [Image.open(io.BytesIO(base64.b64decode(data))) for data in found]


def test_only_clear_pictures_are_not_blurred(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "pictures")
    details = {}
    for is_clear in (False, True):
        clear = [f"clip <{6.0}>"] if is_clear else ["another"]
        show_restored(folder, "val", clear, SETTINGS, tmp_path / "val.html")
        still = pictures(tmp_path / "val.html")[0]
        (moving,) = animations(tmp_path / "val.html")
        # Inside the mask, without the outline.
        middle = np.asarray(moving.convert("RGB"))[:, 20 * ENLARGED : (SIDE - 20) * ENLARGED : ENLARGED]
        details[is_clear] = detail(still[SIDE // 2 - 9 : SIDE // 2 + 9, SIDE // 2 - 9 : SIDE // 2 + 9]), detail(middle)
    assert 3 * details[False][0] < details[True][0]
    assert details[False][1] < 2 < 20 < details[True][1]


def test_panels_are_blurred_separately_and_keep_their_order(tmp_path: Path) -> None:
    show_restored(write_pictures(tmp_path / "pictures"), "val", (), SETTINGS, tmp_path / "val.html")
    (moving,) = animations(tmp_path / "val.html")
    assert moving.n_frames == 4  # of half a second, eight a second
    image = np.asarray(moving.convert("RGB")).astype(int)
    side = ENLARGED * SIDE
    assert image.shape == (side, 3 * side + 8, 3)
    for channel, left in enumerate((0, side + 4, 2 * side + 8)):
        colour = image[8:-8, left + 8 : left + side - 8].mean(axis=(0, 1))
        assert colour[channel] > 90 > 60 > np.delete(colour, channel).max()


def test_scores_stand_beside_the_pictures_and_keys_are_escaped(tmp_path: Path) -> None:
    show_restored(write_pictures(tmp_path / "pictures"), "val", (), SETTINGS, tmp_path / "val.html")
    page = (tmp_path / "val.html").read_text(encoding="utf-8")
    assert "clip &lt;6.0&gt;<br>blocks of 6.0 px: mosaicked 21.0 dB, restored 24.5 dB, clean" in page


def test_the_number_of_samples_is_that_of_the_setting_over_all_block_sizes(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "pictures", range(2, 32, 3))
    show_restored(folder, "val", (), ReportSettings(samples=3), tmp_path / "val.html")
    assert re.findall(r"blocks of (\S+) px: ", (tmp_path / "val.html").read_text(encoding="utf-8")) == ["2.0", "14.0", "29.0"]


def test_only_sheets_with_pictures_are_shown(tmp_path: Path) -> None:
    assert shown_sheets(write_pictures(tmp_path / "pictures")) == ["val"]


@pytest.mark.parametrize("suffix", [".png", ".mask.png", ".mp4"])
def test_a_picture_that_cannot_be_read_is_named(suffix: str, tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "pictures")
    (folder / "val" / f"006.0px-clip{suffix}").write_bytes(b"nothing")
    with pytest.raises(TesseraError, match=r"006\.0px-clip.*delete the folder"):
        show_restored(folder, "val", (), SETTINGS, tmp_path / "figure")


def test_the_output_of_the_evaluation_can_be_drawn(tmp_path: Path) -> None:
    write_moving_clip(tmp_path / "val", "clip", 8)
    (tmp_path / "test").mkdir()
    files = [tmp_path / name for name in ("metrics.json", "frames.jsonl", "ledger.jsonl", "pictures", "speed.json")]
    settings = {"data": DataSettings(size=SIDE, degradations=()), "settings": MetricsSettings(frames=6, pictures=1)}
    folders = {split: tmp_path / split for split in ("val", "test")}
    sources = {"clip": "film"}
    evaluate(folders, {"restored": lambda frames: frames}, *files, **settings, sources=sources, seed=0, threads=2)
    draw_methods(files[0], tmp_path / "methods.svg")
    show_restored(files[3], "val", (), SETTINGS, tmp_path / "val.html")
    assert "all (1)" in texts(tmp_path / "methods.svg") and "+0.0" in texts(tmp_path / "methods.svg")
    assert len(animations(tmp_path / "val.html")) == 1
    show_restored(files[3], "worst", (), SETTINGS, tmp_path / "worst.html")
    assert shown_sheets(files[3]) == ["val", "worst"] and len(animations(tmp_path / "worst.html")) == 1
