"""The first screen states what decides of each model, on both splits with its interval, and what is worse."""

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
from chance_metrics import write_chance

from tessera.pages.report.pages import figure
from tessera.pages.report.summary import finding_nothing_by_card, write_summary

DETECTOR = {"images": 20, "objects": 31, "sources": 9, "box": {"map50": 0.5}, "mask": {"map50": 0.8123}}
FEW = "too few sources for an interval (3)"
NOTHING = {"videos": 0, "seconds": 0.0, "frames": 0, "with_detection": 0, "tracks": 0}


class Summary:
    """A first screen of models with these metrics by split, and of detectors with these false positives."""

    def __init__(self, folder: Path, metrics: dict[str, Any], clean: dict[str, Any] | None = None, footage: str = "") -> None:
        files, false = {}, {}
        for model, splits in metrics.items():
            files[model] = folder / f"{model}.json"
            files[model].write_text(json.dumps({"splits": splits}))
        for model, found in (clean or {}).items():
            false[model] = folder / f"{model}.clean.json"
            false[model].write_text(json.dumps(found))
        page, figures = folder / "footage.html", folder / "figures.json"
        (folder / "restored").mkdir(exist_ok=True)
        page.write_text(footage)
        write_summary(files, false, [folder / "restored"], page if footage else None, figures, folder / "summary.html")
        self.figures = json.loads(figures.read_text())
        self.text = html.unescape((folder / "summary.html").read_text())
        rows = re.findall("<tr>(.*?)</tr>", self.text, re.DOTALL)
        cells = [re.findall("<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in rows]
        self.header, self.rows = (cells[0], {row[1]: row[2:] for row in cells[1:]}) if cells else ([], {})
        self.remarks = re.findall("<li>(.*?)</li>", self.text)


@pytest.mark.parametrize(("found", "is_told"), [({"val": 0.01, "test": 0.02}, True), ({"val": 0.01, "test": 0.06}, False)])
def test_a_detector_that_finds_almost_nothing_comes_first_with_the_likely_causes(
    tmp_path: Path, found: dict[str, float], is_told: bool
) -> None:
    splits = {split: {**DETECTOR, "intervals": FEW, "mask": {"map50": value}} for split, value in found.items()}
    remarks = Summary(tmp_path, {"finder": splits}).remarks
    told = "finder finds almost nothing (mask mAP50 0.020): there may be too few labels, too few epochs, or too large batches."
    assert (remarks[:1] == [told]) is is_told
    card = tmp_path / "card.json"
    card.write_text(json.dumps({"metrics": {"splits": splits}}))
    assert finding_nothing_by_card("finder", card) == ([told] if is_told else [])


def restorer(psnr: float, flicker: float, warping: float, low: float | None = None) -> dict[str, Any]:
    """Return the metrics of a restorer that changes its input, whose PSNR, flicker and warping error are 20, 1 and 2."""

    def each(value: float, difference: float) -> dict[str, float | None]:
        ends = {"low": None, "high": None, "difference_low": None, "difference_high": None}
        if low is not None:
            ends = {
                "low": value - 1,
                "high": value + 1,
                "difference_low": difference - low,
                "difference_high": difference + low,
            }
        return {"value": value, "difference": difference, **ends}

    given = {"psnr": (20.0, psnr), "flicker": (1.0, flicker), "warping": (2.0, warping)}
    methods = {
        "mosaicked": {name: each(value, -change) for name, (value, change) in given.items()},
        "restored": {name: each(value + change, 0.0) for name, (value, change) in given.items()},
        "clean": {"flicker": each(0.5, 0.0), "warping": each(4.0, 0.0)},
    }
    return {"all": {"samples": 4}, "intervals": {"sources": 4, "methods": methods}}


def classifier(folder: Path, is_better: bool | None) -> dict[str, Any]:
    chance = json.loads(write_chance(folder / "chance.json", is_better).read_text())["splits"]["val"]["chance"]
    ends = {"balanced_accuracy": [0.4, 0.7], "average_precision": [0.45, 0.75]}
    reached = {"balanced_accuracy": 0.55, "average_precision": 0.6, "accuracy": 0.7}
    return {"pictures": 40, "sources": 8, **reached, "intervals": ends, "chance": chance}


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [({"mask": {"map50": [0.7, 0.9]}, "box": {"map50": [0.1, 0.2]}}, "0.812 (0.700 to 0.900)"), (FEW, "0.812")],
)
def test_a_detector_is_rated_by_its_masks_on_both_splits(intervals: Any, expected: str, tmp_path: Path) -> None:
    test = DETECTOR | {"mask": {"map50": 0.75}, "images": 1, "intervals": FEW}
    found = Summary(tmp_path, {"finder": {"val": DETECTOR | {"intervals": intervals}, "test": test}})
    assert found.header == ["model", "measure", "validation split", "test split"]
    assert found.rows["mask mAP50"] == [
        f"{expected}\n31 objects in 20 images of 9 sources",
        "0.750\n31 objects in 1 image of 9 sources",
    ]
    assert found.remarks == []


@pytest.mark.parametrize(("intervals", "value", "is_told"), [({"mask": {"map50": [0.7, 0.9]}}, 0.69, True), (FEW, 0.74, False)])
def test_a_detector_that_is_worse_on_the_test_split_says_so(
    intervals: Any, value: float, is_told: bool, tmp_path: Path
) -> None:
    splits = {"val": DETECTOR | {"intervals": intervals}, "test": DETECTOR | {"mask": {"map50": value}, "intervals": FEW}}
    told = f"finder is worse on the test split: mask mAP50 {value:.3f}, against 0.812 (0.700 to 0.900) on the validation split."
    assert Summary(tmp_path, {"finder": splits}).remarks == ([told] if is_told else [])


def test_false_positives_in_clean_footage_are_stated_with_their_interval(tmp_path: Path) -> None:
    watched = {"videos": 1, "seconds": 6.0, "frames": 12, "with_detection": 12, "tracks": 12}
    images = {"val": {"images": 3, "with_detection": 1}, "test": {"images": 0, "with_detection": 0}}
    clean = {"finder": {"videos": {"val": NOTHING, "test": watched}, "images": images}}
    splits = {split: DETECTOR | {"intervals": FEW} for split in ("val", "test")}
    found = Summary(tmp_path, {"finder": splits}, clean)
    nothing = "not measured: no clean footage"
    assert found.rows["false positives per minute of clean footage"] == [
        nothing,
        "120.0 (62.0 to 209.6)\n12 in 6.0 s of 1 video",
    ]
    assert found.rows["clean frames with a false positive"] == [nothing, "100% (74% to 100%)\n12 of 12 frames"]
    assert found.rows["images without an object that have a false positive"][0] == "33% (1% to 91%)\n1 of 3 images"
    told = "finder finds 120.0 (62.0 to 209.6) false positives a minute in clean footage of the test split;"
    assert found.remarks == [f"{told} 12 of 12 frames have one."]
    quiet = {"finder": {"videos": {"val": NOTHING, "test": watched | {"tracks": 0, "with_detection": 0}}, "images": {}}}
    assert Summary(tmp_path, {"finder": splits}, quiet).remarks == []


def test_a_restorer_says_what_it_worsens_in_the_sentence_that_says_what_it_improves(tmp_path: Path) -> None:
    found = Summary(tmp_path, {"restorer": {"val": restorer(1.5, 0.25, 0.5, low=0.3), "test": restorer(-0.5, -0.25, -0.5)}})
    assert found.rows["PSNR of the region, dB"] == [
        "21.50 (20.50 to 22.50)\nmosaic 20.00; 4 clips of 4 sources",
        "19.50\nmosaic 20.00; 4 clips of 4 sources",
    ]
    assert found.rows["flicker, levels"][0] == "1.25 (0.25 to 2.25)\nmosaic 1.00; clean 0.50"
    assert found.rows["warping error, levels"][1] == "1.50\nmosaic 2.00; clean 4.00"
    assert found.remarks == [
        "restorer: +1.50 dB (+1.20 to +1.80) over the mosaic on the validation split, but flicker rises by 0.25 levels"
        " (from 1.00 to 1.25) and warping error rises by 0.50 levels (from 2.00 to 2.50).",
        "restorer: -0.50 dB over the mosaic on the test split.",
    ]


@pytest.mark.parametrize("is_better", [True, None, False])
def test_a_classifier_is_beside_what_a_guess_reaches_and_named_if_it_is_no_better(
    is_better: bool | None, tmp_path: Path
) -> None:
    found = Summary(tmp_path, {"sharp": {"val": classifier(tmp_path, is_better)}})
    guess = "0.500 by guessing; 40 pictures of 8 sources"
    assert found.rows["balanced accuracy"] == [f"0.550 (0.400 to 0.700)\n{guess}", "not measured"]
    assert found.rows["average precision"] == [f"0.600 (0.450 to 0.750)\n{guess}", "not measured"]
    told = "sharp is no better than chance (balanced accuracy 0.400 to 0.700, 0.500 by guessing): it filters nothing, unless a"
    assert [remark.startswith(told) for remark in found.remarks] == ([True] if is_better is False else [])


def test_the_figures_are_written_for_the_comparison_with_the_next_run(tmp_path: Path) -> None:
    splits = {
        "val": DETECTOR | {"mask": {"map50": 0.75}, "intervals": FEW},
        "test": DETECTOR | {"mask": {"map50": 1 / 3}, "intervals": FEW},
    }
    assert Summary(tmp_path, {"finder": splits}).figures == {
        "finder": {"mask mAP50": {"form": ".3f", "values": {"val": 0.75, "test": 0.333333}}}
    }


def test_the_footage_with_the_largest_region_and_the_clips_that_gain_most_are_shown(tmp_path: Path) -> None:
    pixels = [figure(name, "jpeg", [name.decode()], rank=rank) for name, rank in ((b"a", 0.2), (b"b", 0.9), (b"c", 0.5))]
    (tmp_path / "restored").mkdir()
    (tmp_path / "restored" / "val.html").write_text("".join(pixels))
    names = ["first", "large", "small"]
    scenes = "".join(figure(b"", "webp", [name], b"", rank) for name, rank in zip(names, (5, 70, 6), strict=True))
    text = Summary(tmp_path, {}, footage=scenes).text
    assert re.findall('<img(?: class="moving")? alt="(.*?)"', text) == ["b", "c", "large"]


def test_without_models_it_says_so(tmp_path: Path) -> None:
    assert "<p>No model was trained.</p>" in Summary(tmp_path, {}).text


def test_a_model_of_another_kind_has_its_metrics_elsewhere(tmp_path: Path) -> None:
    assert list(Summary(tmp_path, {"brightness": {"val": {"error": 0.5}}}).rows) == ["see its metrics"]
