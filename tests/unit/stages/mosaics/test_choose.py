"""The decision on every detection and every frame, and the shapes of regions."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.configuration.read import Configuration
from tessera.core.errors import TesseraError
from tessera.core.ledger import Ledger, read_ledger, summarise
from tessera.core.settings import load
from tessera.imaging.boxes import Box
from tessera.imaging.masks import decode_rle, encode_rle
from tessera.records.decisions import Decision, region_key
from tessera.records.tables.annotation import Annotations
from tessera.records.tables.footage import Frames
from tessera.records.tables.table import read_table, types, write_table
from tessera.stages.mosaics.choose import Detection, RegionSettings, Sides, choose_regions, ellipse, judge, refine

HEIGHT, WIDTH = 120, 200
STILL = RegionSettings(extension=(0,))  # regions keep their size
ALL = ("nsfw", "watermark", "mosaic", "face", "head")


def disc(x: float, y: float, radius: float, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return (np.hypot(columns - x, rows - y) <= radius) * np.uint8(255)


def of_mask(name: str, mask: np.ndarray, score: float = 0.9) -> Detection:
    ys, xs = np.nonzero(mask)
    return Detection(name, name.split("-")[0], score, (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1), encode_rle(mask))


def of_box(name: str, box: Box, score: float = 0.9) -> Detection:
    return Detection(name, name.split("-")[0], score, box)


def reasons(
    *detections: Detection, detectors: Any = ALL[:3], seed: int = 0, anywhere: bool = False, **changes: Any
) -> dict[str, str]:
    asked = STILL.model_copy(update=changes)
    verdicts = judge("frame", detections, HEIGHT, WIDTH, detectors, asked, seed, anywhere=anywhere)
    return {key: verdict.reason for key, verdict in verdicts.items()}


# Shapes


def refined_slowly(mask: np.ndarray, radius: float) -> np.ndarray:
    smooth = cv2.medianBlur(mask, 11)
    count, numbers = cv2.connectedComponents(smooth)
    pieces = [numbers == number for number in range(1, count)]
    total = sum(piece.sum() for piece in pieces)
    cleaned = np.zeros(mask.shape, bool)
    for piece in pieces:
        cleaned |= piece & (piece.sum() >= 0.02 * total)
    grown = np.zeros(mask.shape, bool)
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
    for y, x in np.argwhere(cleaned):
        grown |= np.hypot(rows - y, columns - x) <= radius
    return grown * np.uint8(255)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(-9, 60), st.integers(-9, 45), st.integers(1, 40), st.integers(1, 40)), max_size=4),
    st.sampled_from([0, 1, 2.5, 9]),
    st.sampled_from([0, 0, 0.1]),
)
def test_a_refined_mask_equals_that_of_the_obvious_algorithm(boxes: list[tuple[int, ...]], radius: float, noise: float) -> None:
    mask = np.zeros((48, 64), np.uint8)
    for x, y, width, height in boxes:
        mask[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)] ^= 255
    mask[np.random.default_rng(0).random(mask.shape) < noise] ^= 255
    before = mask.copy()
    refined = refine(mask, radius)
    np.testing.assert_array_equal(refined, refined_slowly(mask, radius))
    np.testing.assert_array_equal(mask, before)


def test_pieces_and_holes_are_kept_and_specks_are_removed() -> None:
    pieces = disc(40, 60, 30) | disc(150, 60, 20)
    ring = pieces ^ disc(40, 60, 14)
    refined = refine(ring | disc(100, 100, 3), 0)
    assert cv2.connectedComponents(refined)[0] == 3
    assert refined[60, 40] == 0
    assert np.count_nonzero(refined ^ ring) < 0.04 * np.count_nonzero(ring)


@given(st.floats(-20, 80), st.floats(-20, 60), st.floats(1, 60), st.floats(1, 60), st.floats(0.5, 2))
def test_an_ellipse_fills_its_scaled_box(x0: float, y0: float, width: float, height: float, scale: float) -> None:
    mask = ellipse((x0, y0, x0 + width, y0 + height), scale, 50, 70)
    x, y = x0 + width / 2, y0 + height / 2
    for row, column in np.random.default_rng(0).integers(0, (50, 70), (20, 2)):
        far = ((column + 0.5 - x) / (scale * width / 2)) ** 2 + ((row + 0.5 - y) / (scale * height / 2)) ** 2
        assert far == pytest.approx(1) or mask[row, column] == (255 if far < 1 else 0)


def test_a_region_grows_by_the_steps_that_are_drawn() -> None:
    height, width = 300, 400
    for radius, step in ((18, 2 / 256), (21, 7 / 256)):  # below and above a hundredth of the frame
        mask = disc(200, 150, radius, height, width)
        for steps in (0, 1, 2):
            verdicts = judge("frame", [of_mask("nsfw-0", mask)], height, width, ["nsfw"], RegionSettings(extension=(steps,)), 0)
            shape = verdicts["nsfw-0"].mask
            assert shape is not None
            np.testing.assert_array_equal(shape, refine(mask, steps * step * width))


def test_draws_depend_only_on_the_seed_and_the_detection() -> None:
    detections = [of_mask(f"nsfw-{number}", disc(100, 60, 15)) for number in range(30)]

    def sizes(seed: int) -> list[int]:
        masks = (
            judge("frame", [detection], HEIGHT, WIDTH, ["nsfw"], RegionSettings(), seed)[detection.key].mask
            for detection in detections
        )
        return [int(np.count_nonzero(mask)) for mask in masks if mask is not None]

    assert len(set(sizes(0))) == 3
    assert sizes(0) == sizes(0)
    assert sizes(0) != sizes(1)
    # Other detections in the frame do not change the draw.
    far = of_mask("nsfw-0", disc(180, 10, 8), score=0.99)
    alone = judge("frame", detections[3:4], HEIGHT, WIDTH, ["nsfw"], RegionSettings(), 0)["nsfw-3"].mask
    beside = judge("frame", [far, detections[3]], HEIGHT, WIDTH, ["nsfw"], RegionSettings(), 0)["nsfw-3"].mask
    assert alone is not None and beside is not None
    np.testing.assert_array_equal(alone, beside)


# Verdicts


def test_confidence_and_size_decide_what_counts() -> None:
    assert reasons(of_mask("nsfw-0", disc(40, 60, 20), 0.7), of_mask("nsfw-1", disc(140, 60, 20), 0.6999)) == {
        "nsfw-0": "",
        "nsfw-1": "below the confidence",
    }
    assert reasons(of_mask("nsfw-0", disc(40, 60, 4))) == {"nsfw-0": "too small"}
    one_pixel, all_pixels = np.zeros((HEIGHT, WIDTH), np.uint8), np.full((HEIGHT, WIDTH), 255, np.uint8)
    one_pixel[50, 50] = 255
    assert reasons(of_mask("nsfw-0", one_pixel)) == {"nsfw-0": "too small"}
    assert reasons(of_mask("nsfw-0", all_pixels)) == {"nsfw-0": ""}


def test_a_watermark_excludes_only_the_regions_that_it_overlaps() -> None:
    region, other = of_mask("nsfw-0", disc(60, 60, 20)), of_mask("nsfw-1", disc(150, 60, 20))
    line = of_box("watermark-0", (70.4, 55, 112, 60), 0.2)  # low, like text
    assert reasons(region, other, line) == {"nsfw-0": "overlaps a watermark", "nsfw-1": "", "watermark-0": ""}
    # Its box overlaps that of the region, but its mask does not overlap the region.
    corner = of_box("watermark-0", (0, 0, 44, 44))
    assert reasons(region, corner) == {"nsfw-0": "", "watermark-0": ""}
    for mark, reason in ((line.box, "below the confidence"), ((70, 50, 109, 60), "too small")):
        mark = of_box("watermark-0", mark, 0.19 if reason.startswith("below") else 0.9)
        assert reasons(region, mark) == {"nsfw-0": "", "watermark-0": reason}


def test_of_overlapping_regions_the_most_confident_is_kept_and_rejected_ones_exclude_none() -> None:
    first, second, third = (of_mask(f"nsfw-{n}", disc(50 + 30 * n, 60, 20), 0.9 - n / 50) for n in range(3))
    overlaps = "overlaps a surer region"
    assert reasons(third, second, first) == {"nsfw-0": "", "nsfw-1": overlaps, "nsfw-2": ""}
    mark = of_box("watermark-0", (20, 40, 60, 80))
    assert reasons(third, second, first, mark) == {
        "nsfw-0": "overlaps a watermark",
        "nsfw-1": "",
        "nsfw-2": overlaps,
        "watermark-0": "",
    }


def test_a_frame_with_a_mosaic_gives_no_region() -> None:
    region, unsure = of_mask("nsfw-0", disc(60, 60, 20)), of_mask("nsfw-1", disc(60, 60, 20), 0.3)
    mosaic = of_mask("mosaic-0", disc(170, 20, 3), 0.1)
    verdicts = {"nsfw-0": "frame left out", "nsfw-1": "below the confidence", "mosaic-0": ""}
    assert reasons(region, unsure, mosaic) == verdicts


def test_a_face_is_excluded_by_any_nsfw_detection_and_by_a_more_confident_face() -> None:
    face, worse = of_box("face-0", (40, 30, 90, 90), 0.95), of_box("face-1", (80, 30, 130, 90), 0.9)
    detectors = ("nsfw", "face")
    assert reasons(worse, face, detectors=detectors) == {"face-0": "", "face-1": "overlaps a surer region"}
    unsure = of_mask("nsfw-0", disc(60, 60, 5), 0.1)
    assert reasons(worse, face, unsure, detectors=detectors) == {
        "face-0": "overlaps nsfw",
        "face-1": "",
        "nsfw-0": "below the confidence",
    }
    assert reasons(of_box("face-0", (40, 30, 65, 55)), detectors=detectors) == {"face-0": "too small"}
    # The nsfw region grows into the face, which has a higher confidence.
    beside = of_mask("nsfw-0", disc(120, 60, 20), 0.8)
    verdicts = reasons(face, beside, detectors=detectors, extension=(2,))
    assert verdicts == {"face-0": "overlaps a surer region", "nsfw-0": ""}


def test_shapes_that_are_anywhere_give_way_to_faces_of_any_confidence() -> None:
    over, beside = of_mask("nsfw-0", disc(90, 60, 30), 1), of_mask("nsfw-1", disc(160, 60, 20), 1)
    for score, reason in ((0.95, ""), (0.1, "below the confidence")):
        face = of_box("face-0", (40, 30, 90, 90), score)
        verdicts = reasons(over, beside, face, detectors=("nsfw", "face"), anywhere=True)
        assert verdicts == {"face-0": reason, "nsfw-0": "overlaps a face", "nsfw-1": ""}
    # The mosaic of a face is larger than its box.
    near = of_mask("nsfw-0", disc(103, 60, 12), 1)
    verdicts = reasons(near, of_box("face-0", (40, 30, 90, 90)), detectors=("nsfw", "face"), anywhere=True)
    assert verdicts == {"face-0": "", "nsfw-0": "overlaps a surer region"}


def test_if_both_detectors_run_a_frame_uses_heads_or_faces() -> None:
    face, head = of_box("face-0", (20, 30, 70, 90)), of_box("head-0", (120, 20, 180, 100))
    shown = Counter(
        next(detector for detector in ("face", "head") if not reasons(face, head, detectors=ALL, seed=seed)[f"{detector}-0"])
        for seed in range(200)
    )
    assert 40 <= shown["head"] <= 80
    assert sum(shown.values()) == 200
    assert set(reasons(face, head, detectors=ALL).values()) == {"", "other kind drawn"}
    assert {reasons(face, detectors=("face",), seed=seed)["face-0"] for seed in range(20)} == {""}


def test_the_mask_of_a_box_has_all_pixels_of_the_image_that_it_touches() -> None:
    mask = of_box("nsfw-0", (-3, 100.5, 20.1, 130)).mask(HEIGHT, WIDTH)
    expected = np.zeros_like(mask)
    expected[100:, :21] = 255
    np.testing.assert_array_equal(mask, expected)


# Shards


class Shard:
    """The tables of a shard: frames, and detections in them."""

    def __init__(self, folder: Path, detectors: tuple[str, ...] = ALL[:3]) -> None:
        self.folder, self.detectors = folder, detectors
        self.frames: list[dict[str, Any]] = []
        self.rows: dict[str, list[dict[str, Any]]] = {detector: [] for detector in detectors}
        self.ledger_rows: dict[str, dict[str, tuple[str, str]]] = {detector: {} for detector in detectors}

    def frame(self, key: str, *detections: Detection, but: dict[str, tuple[str, str]] | None = None) -> None:
        """Add a frame with its detections; `but`: status and reason of a detector that did not run on it."""
        frame = {"key": key, "source": "s", "index": len(self.frames), "pts": 0, "time": 0.0, "file": f"{key}.jpg"}
        self.frames.append({**frame, "width": WIDTH, "height": HEIGHT, "phash": 0})
        for detector in self.detectors:
            self.ledger_rows[detector][key] = (but or {}).get(detector, ("ok", ""))
        for each in detections:
            box = dict(zip(("x0", "y0", "x1", "y1"), map(float, each.box), strict=True))
            rows = self.rows[each.detector]
            common = {"key": key, "number": len(rows), "label": "class", "polygons": None, "crowd": False, "score": each.score}
            rows.append({**common, **box, "rle": each.rle})

    def choose(self, name: str = "out", seed: int = 0, **said: str) -> tuple[pl.DataFrame, pl.DataFrame, list[Any], list[Any]]:
        folder = self.folder / name
        folder.mkdir()
        write_table(pl.DataFrame(self.frames, schema=types(Frames)), Frames, folder / "frames.parquet")
        for detector in self.detectors:
            rows = pl.DataFrame(self.rows[detector], schema=types(Annotations))
            write_table(rows, Annotations, folder / f"{detector}.parquet")
            with Ledger(folder / f"{detector}.jsonl") as entries:
                for key, (status, reason) in self.ledger_rows[detector].items():
                    entries.row(key, status, reason)  # type: ignore[arg-type]
        tables = [folder / f"{detector}.parquet" for detector in self.detectors]
        outputs = [
            folder / name
            for name in ("regions.parquet", "backgrounds.parquet", "ledger.jsonl", "detections.jsonl", "decisions.jsonl")
        ]
        ledgers = [path.with_suffix(".jsonl") for path in tables]
        author = {"who": "Ada", "when": "2026-01-31"}
        decisions = {
            key: Decision.model_validate({"key": key, "decision": decision, **author}) for key, decision in said.items()
        }
        choose_regions(folder / "frames.parquet", self.detectors, tables, ledgers, STILL, decisions, seed, *outputs)
        regions, backgrounds = read_table(outputs[0], Annotations), read_table(outputs[1], Frames)
        return regions, backgrounds, read_ledger(outputs[2]), read_ledger(outputs[3])


def test_every_frame_and_every_detection_has_a_row(tmp_path: Path) -> None:
    region, unsure = of_mask("nsfw-0", disc(60, 60, 20), 0.8), of_mask("nsfw-0", disc(60, 60, 20), 0.1)
    mosaic, mark = of_mask("mosaic-0", disc(170, 20, 9), 0.2), of_box("watermark-0", (120, 10, 190, 30), 0.1)
    shard = Shard(tmp_path)
    shard.frame("sample", unsure, region, of_mask("nsfw-1", disc(150, 80, 20), 0.9))
    shard.frame("clean")
    shard.frame("unsure", unsure)
    shard.frame("marked", mark)
    shard.frame("mosaic", region, mosaic)
    shard.frame("elsewhere", but=dict.fromkeys(ALL[:3], ("dropped", "source not for mosaic_detection")))
    shard.frame("unreadable", region, but={"watermark": ("failed", "image cannot be decoded")})
    regions, backgrounds, ledger, detections = shard.choose()

    assert regions.select("key", "number", "label", "score").rows() == [("sample", 0, "nsfw", 0.9), ("sample", 1, "nsfw", 0.8)]
    for row, expected in zip(regions.iter_rows(named=True), (disc(150, 80, 20), disc(60, 60, 20)), strict=True):
        mask = decode_rle(row["rle"], HEIGHT, WIDTH)
        np.testing.assert_array_equal(mask, refine(expected, 0))
        x0, y0, x1, y1 = (int(row[edge]) for edge in ("x0", "y0", "x1", "y1"))
        assert mask[y0:y1, x0:x1].any(axis=0).all()
        assert np.count_nonzero(mask[y0:y1, x0:x1]) == np.count_nonzero(mask)
    assert backgrounds["key"].to_list() == ["clean"]
    assert {row["key"]: (row["status"], row["reason"], row["detail"]) for row in ledger} == {
        "sample": ("ok", "", ""),
        "clean": ("ok", "background", ""),
        "unsure": ("dropped", "no region", "nsfw below the confidence: 1"),
        "marked": ("dropped", "no region", "watermark below the confidence: 1"),
        "mosaic": ("dropped", "already carries a mosaic", ""),
        "elsewhere": ("dropped", "source not for mosaic_detection", ""),
        "unreadable": ("failed", "image cannot be decoded", ""),
    }
    summary = summarise(ledger)
    samples = regions["key"].n_unique()
    assert summary["in"] == samples + backgrounds.height + sum(summary["dropped"].values()) + sum(summary["failed"].values())
    assert summarise(detections) == {
        "in": sum(map(len, shard.rows.values())),
        "ok": regions.height + 1,  # the mosaic
        "partly": {},
        "dropped": {"below the confidence": 3, "frame left out": 2},
        "failed": {},
    }
    assert len({row["key"] for row in detections}) == len(detections)


def test_people_decide_on_single_regions_also_if_the_detector_sees_them_a_little_elsewhere(tmp_path: Path) -> None:
    shard = Shard(tmp_path)
    sure, unsure = of_mask("nsfw-0", disc(60, 60, 20), 0.9), of_mask("nsfw-1", disc(150, 80, 20), 0.1)
    shard.frame("f-1", sure, unsure, of_box("watermark-0", (120, 70, 190, 90), 0.9))
    moved = region_key("f-1", (42, 40, 82, 80))
    said = {
        moved: "drop",
        region_key("f-1", unsure.box): "keep",
        region_key("f-1", (0, 0, 9, 9)): "drop",
        "f-2+1-1-9-9": "keep",
    }
    regions, _, _, detections = shard.choose(**said)
    assert regions.select("key", "score").rows() == [("f-1", 0.1)]
    rows = {row["key"]: (row["status"], row["reason"], row["detail"]) for row in detections}
    assert rows == {
        "f-1#nsfw-0": ("dropped", "dropped by decision", "Ada, 2026-01-31"),
        "f-1#nsfw-1": ("ok", "kept by decision", "Ada, 2026-01-31"),
        "f-1#watermark-0": ("ok", "", ""),
    }
    matched = {row["key"]: (row["status"], row["detail"]) for row in read_ledger(tmp_path / "out" / "decisions.jsonl")}
    assert matched.pop(moved) == ("ok", "f-1#nsfw-0") and matched.pop(region_key("f-1", unsure.box)) == ("ok", "f-1#nsfw-1")
    assert set(matched.values()) == {("dropped", "Ada, 2026-01-31; nothing is seen there now")}


def test_a_region_that_is_kept_passes_every_check_but_a_mosaic() -> None:
    poor, beside = of_mask("nsfw-0", disc(60, 60, 12), 0.05), of_mask("nsfw-1", disc(80, 60, 12), 0.9)
    mark = of_box("watermark-0", (40, 50, 90, 70), 0.9)
    frame, large = (
        ("frame", [poor, beside, mark], HEIGHT, WIDTH, ALL[:3]),
        STILL.model_copy(update={"min_side": Sides(nsfw=30)}),
    )
    alone = judge(*frame, large, 0)
    assert {alone[key].reason for key in ("nsfw-0", "nsfw-1")} == {"below the confidence", "too small"}
    verdicts = judge(*frame, large, 0, kept=["nsfw-0"])
    assert not verdicts["nsfw-0"].reason and verdicts["nsfw-1"].reason == "too small"
    near = of_mask("nsfw-1", disc(62, 60, 12), 0.9)
    assert judge("frame", [poor, near], HEIGHT, WIDTH, ALL[:3], STILL, 0, kept=["nsfw-0"])["nsfw-1"].reason
    mosaic = of_mask("mosaic-0", disc(150, 80, 9), 0.9)
    verdicts = judge("frame", [poor, mosaic], HEIGHT, WIDTH, ALL[:3], STILL, 0, kept=["nsfw-0"])
    assert verdicts["nsfw-0"].reason == "frame left out"


def test_a_frame_that_a_detector_did_not_run_on_is_not_a_background(tmp_path: Path) -> None:
    shard = Shard(tmp_path)
    shard.frame("clean")
    del shard.ledger_rows["watermark"]["clean"]
    _, backgrounds, ledger, _ = shard.choose()
    assert backgrounds.is_empty()
    assert [(row["status"], row["reason"], row["detail"]) for row in ledger] == [("failed", "not looked at", "watermark")]


def test_a_broken_mask_fails_only_its_frame(tmp_path: Path) -> None:
    shard = Shard(tmp_path)
    shard.frame("broken", Detection("nsfw-0", "nsfw", 0.9, (0, 0, 9, 9), "nonsense"))
    shard.frame("sample", of_mask("nsfw-0", disc(60, 60, 20)))
    regions, backgrounds, ledger, detections = shard.choose()
    assert regions["key"].to_list() == ["sample"]
    assert backgrounds.is_empty()
    assert [(row["key"], row["status"]) for row in ledger] == [("broken", "failed"), ("sample", "ok")]
    assert [(row["status"], row["reason"]) for row in detections] == [("dropped", "frame left out"), ("ok", "")]


def test_a_shard_without_frames_gives_empty_tables(tmp_path: Path) -> None:
    regions, backgrounds, ledger, detections = Shard(tmp_path).choose()
    assert regions.is_empty() and backgrounds.is_empty()
    assert ledger == detections == []


def test_the_regions_of_a_frame_do_not_depend_on_other_frames(tmp_path: Path) -> None:
    both, alone = Shard(tmp_path), Shard(tmp_path)
    region = of_mask("nsfw-0", disc(60, 60, 20))
    alone.frame("b", region)
    both.frame("b", region)
    both.frame("a", region)
    assert both.choose("both")[0].filter(pl.col("key") == "b").equals(alone.choose("one")[0])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"detectors": {"nsfw": {"weights": None}}}, "needs `weights`, or there is nothing to cover"),
        (
            {"detectors": {"nsfw": {"confidence": 0.8}}},
            r"`regions.choose.confidence.nsfw` is 0.7, and nothing below 0.8 is found",
        ),
        (
            {
                "detectors": {"nsfw": {"weights": {"source": "a.pt", "sha256": "0123456789abcdef" * 3 + "fedcba9876543210"}}},
                "choose": {"confidence": {"nsfw": {"target": "recall", "at_least": 0.9}}},
            },
            r"`regions.choose.confidence.nsfw` is a recall, which is measured only of a model that is trained here",
        ),
        ({"detectors": {"mosaic": {"weights": "trained"}}}, "regions.detectors.mosaic.weights"),
        ({"choose": {"extension": []}}, "regions.choose.extension"),
        ({"choose": {"scale": {"face": [1.5, 1.2]}}}, "the smaller factor and then the larger one"),
        ({"choose": {"min_side": {"nsfw": 0}}}, "regions.choose.min_side.nsfw"),
    ],
)
def test_impossible_settings_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(TesseraError, match=message):
        load(Configuration, {"regions": values}, "the configuration")


def test_every_detector_has_a_confidence() -> None:
    assert set(json.loads(Configuration().regions.choose.confidence.model_dump_json())) == set(ALL)
