"""Choose the detections that get a mosaic, and the frames without any detection."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from tessera.core.errors import Dropped, Failed
from tessera.core.ledger import Ledger, read_ledger
from tessera.core.log import tell
from tessera.core.progress import progress
from tessera.core.seeds import generator
from tessera.core.settings import Fraction, Settings
from tessera.imaging.boxes import Box, mask_box
from tessera.imaging.masks import decode_rle, grow, growth_step
from tessera.records.confidence import ConfidenceTarget
from tessera.records.decisions import Decision, find_regions, write_matches

CANDIDATES = ("nsfw", "face", "head")  # detectors whose detections can become regions
SMOOTH = 11  # pixels, side of the window of the majority filter for masks
SPECK = 0.02  # fraction of the area of a region; smaller pieces of it are removed

Confidence = Annotated[float, Field(gt=0, lt=1)]
Range = tuple[PositiveFloat, PositiveFloat]


class Confidences(Settings):
    """The least confidence of a detection that counts, by detector; or a target."""

    nsfw: Confidence | ConfidenceTarget = 0.7
    """Smallest confidence of a region of nsfw. {target: precision, at_least: 0.9} chooses the lowest one with that precision on
    the validation split; with `recall`, the highest one with that recall. A target needs a detector that is trained here.
    """
    watermark: Confidence | ConfidenceTarget = 0.2
    """Smallest confidence of a watermark, or a target as above."""
    mosaic: Confidence = 0.1
    """Smallest confidence of a mosaic."""
    face: Confidence = 0.8
    """Smallest confidence of a face."""
    head: Confidence = 0.7
    """Smallest confidence of a head."""


class Sides(Settings):
    """The least side of a detection that counts, in pixels, by detector."""

    nsfw: PositiveInt = 10
    """Smallest shorter side of a region of nsfw, in pixels."""
    watermark: PositiveInt = 40
    """Smallest longer side of a watermark, in pixels."""
    face: PositiveInt = 40
    """Smallest shorter side of a face, in pixels."""
    head: PositiveInt = 40
    """Smallest shorter side of a head, in pixels."""


class Scales(Settings):
    """The range of the factors that boxes are scaled by, by detector."""

    face: Range = (1.2, 1.5)
    """Smallest and largest scale of a face."""
    head: Range = (0.9, 1.2)
    """Smallest and largest scale of a head."""

    @field_validator("face", "head")
    @classmethod
    def _ascending(cls, scale: Range) -> Range:
        if scale[0] > scale[1]:
            raise ValueError("should be the smaller factor and then the larger one")
        return scale


class RegionSettings(Settings):
    """Which detections become regions, and their shape."""

    confidence: Confidences = Confidences()
    """Smallest confidence of a detection that counts. A frame is used as background only if nothing at all was detected in it.
    """
    min_side: Sides = Sides()
    """Smallest size of a detection that counts, in pixels."""
    extension: tuple[Annotated[int, Field(ge=0, le=10)], ...] = Field((0, 0, 1, 1, 2), min_length=1)
    """Steps by which a region of nsfw is enlarged; one of these numbers is drawn for each region. A step is 1/128 of the longer
    side of the frame for a region smaller than a hundredth of the frame, and 7/256 for others.
    """
    scale: Scales = Scales()
    """How faces and heads are scaled. They become ellipses that fill the scaled box."""
    heads: Fraction = 0.3
    """Fraction of the frames in which heads get the mosaics. In the other frames, faces do. Used if both are detected."""


@dataclass(frozen=True, eq=False)
class Detection:
    """A detection in a frame, with its mask as compressed run lengths of COCO, or without a mask."""

    key: str  # `FRAME#DETECTOR-NUMBER`
    detector: str
    score: float
    box: Box
    rle: str | None = None

    def mask(self, height: int, width: int) -> np.ndarray:
        """Return its mask, uint8 (height, width), 0 or 255. Without a mask, these are all pixels that the box touches."""
        if self.rle is not None:
            return decode_rle(self.rle, height, width)
        x0, y0, x1, y1 = self.box
        mask = np.zeros((height, width), np.uint8)
        mask[max(0, int(y0)) : ceil(y1), max(0, int(x0)) : ceil(x1)] = 255
        return mask


class Verdict(NamedTuple):
    """The decision on a detection: the reason why it does not count, empty if it does; and its mask if it gets a mosaic."""

    reason: str
    mask: np.ndarray | None = None


def choose_regions(
    frames: Path,
    detectors: Sequence[str],
    tables: Sequence[Path],
    ledgers: Sequence[Path],
    settings: RegionSettings,
    decisions: Mapping[str, Decision],
    seed: int,
    regions: Path,
    backgrounds: Path,
    ledger: Path,
    detections: Path,
    matched: Path,
    *,
    anywhere: bool = False,
) -> None:
    """Write the regions of a shard that get a mosaic to `regions`, and the frames without any detection to `backgrounds`.

    `frames`: `tables.Frames`. `tables`, `ledgers`: for each of `detectors`, its detections (`tables.Annotations`) and its
    ledger of frames. `regions` gets `tables.Annotations`, with masks of the size of the frame and the labels `nsfw`, `face` or
    `head`, in the order in which they were chosen. `backgrounds` gets `tables.Frames`; in these, no detector found anything at
    any confidence. `decisions`: of people on regions, see `records.decisions.find_regions`. `anywhere`: see `judge`.

    `ledger` gets one row per frame. Frames with a region are ok, and so are those with the reason `background`. A frame is
    dropped if it `already carries a mosaic`, if it has detections but `no region` was chosen, or if a detector dropped it.
    `detections` gets one row per detection. It is ok if the detection counts: as a region, or as an obstacle to one.
    `matched` gets one row per decision, see `records.decisions.write_matches`.
    """
    import polars as pl

    from tessera.records.annotation.annotation_tables import annotation_rows
    from tessera.records.annotation.model import Annotation
    from tessera.records.tables.annotation import Annotations
    from tessera.records.tables.footage import Frames
    from tessera.records.tables.table import read_table, types, write_table

    ledger_rows = {name: {row["key"]: row for row in read_ledger(path)} for name, path in zip(detectors, ledgers, strict=True)}
    detections_of: dict[str, list[Detection]] = {}
    for detector, path in zip(detectors, tables, strict=True):
        for row in read_table(path, Annotations).iter_rows(named=True):
            name = f"{row['key']}#{detector}-{row['number']}"
            box = row["x0"], row["y0"], row["x1"], row["y1"]
            detections_of.setdefault(row["key"], []).append(Detection(name, detector, row["score"], box, row["rle"]))
    candidates = {
        d.key: (key, d.box)
        for key, frame_detections in detections_of.items()
        for d in frame_detections
        if d.detector in CANDIDATES
    }
    sampled = read_table(frames, Frames)
    decided, lost = find_regions(decisions, candidates, sampled["key"].to_list())
    kept, refused = ({key for key, decision in decided.items() if decision.decision == answer} for answer in ("keep", "drop"))
    chosen: list[dict[str, Any]] = []
    empty: list[str] = []
    with Ledger(ledger) as entries, Ledger(detections) as details:
        for frame in progress(sampled.iter_rows(named=True), sampled.height, "frames"):
            key, frame_detections = frame["key"], detections_of.get(frame["key"], [])
            verdicts: dict[str, Verdict] = {}
            with entries.item(key) as note:
                _check_detectors_ran(key, ledger_rows)
                verdicts = judge(
                    key,
                    frame_detections,
                    frame["height"],
                    frame["width"],
                    detectors,
                    settings,
                    seed,
                    kept,
                    refused,
                    anywhere=anywhere,
                )
                if any(d.detector == "mosaic" and not verdicts[d.key].reason for d in frame_detections):
                    raise Dropped("already carries a mosaic")
                ordered = _in_turn(frame_detections, kept, anywhere)
                picked = [(d, mask) for d in ordered if (mask := verdicts[d.key].mask) is not None]
                if frame_detections and not picked:
                    counts = Counter(f"{d.detector} {verdicts[d.key].reason or 'counts'}" for d in frame_detections)
                    raise Dropped("no region", ", ".join(f"{outcome}: {count}" for outcome, count in sorted(counts.items())))
                if not frame_detections:
                    note["reason"] = "background"
                    empty.append(key)
                chosen += annotation_rows(key, [Annotation.of_mask(d.detector, mask, score=d.score) for d, mask in picked])
            for detection in frame_detections:
                reason = verdicts.get(detection.key, Verdict("frame left out")).reason
                remark = "kept by decision" if detection.key in kept else ""
                detail = str(decided.get(detection.key, ""))
                details.row(detection.key, "dropped" if reason else "ok", reason or remark, detail)
    for key, why in lost.items():
        tell(f"decision on {key!r}: {why}; it counts again once a detector finds that region")
    write_matches(matched, decisions, {each.key: key for key, each in decided.items()}, lost)
    write_table(pl.DataFrame(chosen, schema=types(Annotations)), Annotations, regions)
    write_table(sampled.filter(pl.col("key").is_in(empty)), Frames, backgrounds)


def judge(
    key: str,
    detections: Sequence[Detection],
    height: int,
    width: int,
    detectors: Collection[str],
    settings: RegionSettings,
    seed: int,
    kept: Collection[str] = (),
    refused: Collection[str] = (),
    *,
    anywhere: bool = False,
) -> dict[str, Verdict]:
    """Return the decision on each of the `detections` in the frame `key` of `height` by `width` pixels, by their keys.

    Detections are judged in this order: nsfw before face and head, and then by descending confidence. A detection becomes a
    region unless

    - its confidence is too low, or it is too small,
    - it is a face and heads were drawn for this frame, or the reverse,
    - it has a pixel in common with a watermark that counts, or with an earlier region,
    - it is a face or a head that has a pixel in common with an nsfw detection of any confidence,
    - the frame shows a mosaic.

    Thresholds and draws are those of Lada 0.11. Lada compares boxes instead of masks, and keeps the last of those that overlap.
    `kept`, `refused`: keys of detections that people decided on. One that is refused counts nowhere. One that is kept is judged
    before the others, and only another one that is kept, or a mosaic in the frame, prevents a region there.

    `anywhere`: whether regions of nsfw are random shapes, which know nothing of faces. Then these are judged last, and give way
    to faces and heads of any confidence: otherwise the model would learn that a covered face is nsfw.

    `detectors`: the detectors that ran. If both face and head did, a draw decides which of them a frame uses. Draws depend on
    `seed`.
    """
    verdicts = {detection.key: Verdict("below the confidence") for detection in detections}
    verdicts |= {detection.key: Verdict("dropped by decision") for detection in detections if detection.key in refused}
    detections = [detection for detection in _in_turn(detections, kept, anywhere) if detection.key not in refused]
    sure = [each for each in detections if each.key in kept or each.score >= getattr(settings.confidence, each.detector)]
    verdicts |= {detection.key: Verdict("") for detection in sure}
    candidates = [detection for detection in sure if detection.detector in CANDIDATES]
    if any(detection.detector == "mosaic" for detection in sure):
        return verdicts | {detection.key: Verdict("frame left out") for detection in candidates}
    marks = np.zeros((height, width), np.uint8)
    for detection in sure:
        if detection.detector == "watermark":
            x0, y0, x1, y1 = detection.box
            # Unlike for a region, the longer side counts, because a line of text is low.
            if max(x1 - x0, y1 - y0) < settings.min_side.watermark:
                verdicts[detection.key] = Verdict("too small")
            else:
                marks |= detection.mask(height, width)
    first, overlapped = (("face", "head"), "a face") if anywhere else (("nsfw",), "nsfw")
    avoided = np.zeros_like(marks)
    if {detection.detector for detection in candidates} - set(first):
        for detection in detections:
            if detection.detector in first:
                avoided |= detection.mask(height, width)
    unused_detector = None
    if {"face", "head"} <= set(detectors):
        unused_detector = "face" if generator(seed, "regions", key).random() < settings.heads else "head"
    covered = np.zeros_like(marks)
    for detection in candidates:
        mask = _shape(detection, height, width, settings, generator(seed, "regions", detection.key))
        x0, y0, x1, y1 = mask_box(mask)
        faults = {
            "other kind drawn": detection.detector == unused_detector,
            "too small": min(x1 - x0, y1 - y0) < getattr(settings.min_side, detection.detector),
            "overlaps a watermark": (mask & marks).any(),
            f"overlaps {overlapped}": detection.detector not in first and (mask & avoided).any(),
        }
        reason = "" if detection.key in kept else next((fault for fault, applies in faults.items() if applies), "")
        # A mask without a pixel is no region, whoever keeps it.
        reason = reason or ("overlaps a surer region" if (mask & covered).any() else "" if mask.any() else "too small")
        verdicts[detection.key] = Verdict(reason) if reason else Verdict("", mask)
        if not reason:
            covered |= mask
    return verdicts


def refine(mask: np.ndarray, radius: float) -> np.ndarray:
    """Return `mask`, uint8 (H, W), 0 or 255, smoothed, without specks, and grown by `radius` pixels.

    First, each pixel becomes the majority of the `SMOOTH` by `SMOOTH` pixels around it. Then 8-connected pieces with less than
    the fraction `SPECK` of the remaining area are removed. Finally, all pixels within `radius` of a set pixel are set. The
    input is not changed.
    """
    import cv2

    # Only this part of the image can change.
    margin = SMOOTH + ceil(radius)
    x0, y0, x1, y1 = map(int, mask_box(mask))
    part = np.s_[max(0, y0 - margin) : y1 + margin, max(0, x0 - margin) : x1 + margin]
    refined = np.zeros_like(mask)
    if x0 == x1:
        return refined
    # The median of a mask is its majority, and a box filter is faster than a median filter.
    smooth = cv2.boxFilter(mask[part], -1, (SMOOTH, SMOOTH), borderType=cv2.BORDER_REPLICATE) > 127
    _, numbers, statistics, _ = cv2.connectedComponentsWithStats(smooth.view(np.uint8), connectivity=8)
    areas = statistics[:, cv2.CC_STAT_AREA]
    pieces = areas >= SPECK * areas[1:].sum()
    pieces[0] = False
    refined[part] = grow(pieces[numbers] * np.uint8(255), radius)
    return refined


def ellipse(box: Box, scale: float, height: int, width: int) -> np.ndarray:
    """Return the mask, uint8 (height, width), 0 or 255, of the ellipse inscribed in `box`, scaled about its centre."""
    x0, y0, x1, y1 = box
    x = (np.arange(width) + 0.5 - (x0 + x1) / 2) / (scale * (x1 - x0) / 2)
    y = (np.arange(height) + 0.5 - (y0 + y1) / 2) / (scale * (y1 - y0) / 2)
    return (x**2 + y[:, None] ** 2 <= 1) * np.uint8(255)


def _shape(detection: Detection, height: int, width: int, settings: RegionSettings, draws: np.random.Generator) -> np.ndarray:
    """Return the mask of the region of `detection`, uint8 (height, width).

    People draw mosaics larger than what they hide. So an nsfw mask grows by a random number of steps. Faces and heads become
    ellipses in their boxes, scaled by a random factor.
    """
    if detection.detector != "nsfw":
        return ellipse(detection.box, draws.uniform(*getattr(settings.scale, detection.detector)), height, width)
    mask = detection.mask(height, width)
    step = growth_step(int(np.count_nonzero(mask)), height, width)
    return refine(mask, draws.choice(settings.extension) * step)


def _in_turn(detections: Sequence[Detection], kept: Collection[str], anywhere: bool) -> list[Detection]:
    return sorted(detections, key=lambda d: (d.key not in kept, (d.detector == "nsfw") == anywhere, -d.score, d.key))


def _check_detectors_ran(key: str, ledger_rows: Mapping[str, Mapping[str, Mapping[str, str]]]) -> None:
    """Raise the reason why a detector did not run on the frame `key`. `ledger_rows`: by detector and key."""
    for detector, rows in ledger_rows.items():
        if key not in rows:
            raise Failed("not looked at", detector)
        row = rows[key]
        if row["status"] != "ok":
            raise (Failed if row["status"] == "failed" else Dropped)(row["reason"], row["detail"])
