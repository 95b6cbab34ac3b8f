"""Decisions of people about single clips, frames, regions, pictures of classifiers and faces, which override all filters."""

import re
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from tessera.core.files import file_name
from tessera.core.ledger import Ledger, read_ledger
from tessera.core.tsv import Day, read_shipped_sheet, refuse
from tessera.imaging.boxes import Box, overlap
from tessera.records.decision_log import UNDO, Entry, in_force
from tessera.records.frame_keys import meant_frames, source_of

DEFAULT = Path("config/decisions.tsv")
CLIP = re.compile(r"(.+)-(\d+)-(\d+)", re.DOTALL)  # source, first frame and track
REGION = re.compile(r"([^+]+)\+(\d+)-(\d+)-(\d+)-(\d+)", re.DOTALL)  # frame, and the edges of its box
# The key of a clip, the number of its frames, and its box; see `clip_key`.
SEEN_CLIP = re.compile(r"((.+)-(\d+)-\d+)\+(\d+)\+(\d+)-(\d+)-(\d+)-(\d+)", re.DOTALL)
SAME_CLIP = 1 / 3  # intersection over union of what two clips cover, in pixels times frames, from which on they are the same
# Intersection over union from which on two boxes are those of one region. Those of two objects side by side share less:
# from a third on, the middle of each is inside the other, if they have one size.
SAME = 0.4
ALMOST = 0.8  # fraction of the best intersection over union from which on another region covers a box almost as well
KEY = re.compile(r"[\w.%~+-]*", re.ASCII)  # results of `file_name`, joined by +, and numbers


class Decision(BaseModel):
    """One row of the table of decisions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str = Field(min_length=1, description="key of a clip, a frame, a region, a picture of a classifier or a face")
    decision: Literal["keep", "drop", "relabel", "negative", "undo"]
    reason: str = Field("", description="why; any text")
    who: str = Field(min_length=1, description="who decided")
    when: Day = Field(description="date in the form 2024-12-31")
    classifier: str = Field(
        "",
        validate_default=True,
        description="classifier or face set that the decision is for; empty: a decision on a clip, a frame or a region",
    )
    label: str = Field("", validate_default=True, description="class or score that a picture gets; of `relabel` alone")
    overrules: str = Field("", description="person whose decision it replaces, because the two disagree")

    @field_validator("key")
    @classmethod
    def _may_be_one(cls, value: str) -> str:
        if not KEY.fullmatch(value):
            raise ValueError("is not a key of a clip, a frame or a picture: use the name of its file, without the extension")
        return value

    @field_validator("classifier")
    @classmethod
    def _not_of_negatives(cls, value: str, info: ValidationInfo) -> str:
        if value and info.data.get("decision") == "negative":
            raise ValueError("should be empty, because `negative` is a decision on a frame")
        return value

    @field_validator("label")
    @classmethod
    def _of_relabel_alone(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("decision") == "relabel":
            if not value or not info.data.get("classifier"):
                raise ValueError("`relabel` needs a label, and a classifier; state both")
        elif value:
            raise ValueError("should be empty, because the decision is not `relabel`")
        return value

    def __str__(self) -> str:
        return f"{self.who}, {self.when}" + (f": {self.reason}" if self.reason else "")


class ClipExtent(NamedTuple):
    """Where a clip lies in its source."""

    source: str
    first: int  # index of the first frame
    frames: int  # number of frames
    box: Box | None = None  # mean of its crops, pixels of the video; None: not known


def read_decisions(path: Path, classifiers: Mapping[str, Any]) -> list[Decision]:
    """Return the decisions in the file `path`. `tessera.core.tsv.read_sheet` describes the format.

    The table is a log, see `records.decision_log.in_force`. The decisions that count are returned, without the column
    `overrules`. `classifiers`: by name, the list of their classes, or `{"least": …, "most": …}` for a score; of face
    sets, an empty list. There are no decisions if the default file does not exist. Raises `TesseraError` that lists every fault
    with its line, such as a label that the classifier does not know, or two people who disagree.
    """
    fix = "set `decisions` to your table of decisions"
    sheet = read_shipped_sheet(path, Decision, "table of decisions", fix, DEFAULT)
    rows, disagreements = in_force(sheet.rows, entry_of)
    sheet.faults.extend(disagreements)
    for line, decision in rows:
        if decision.label and (fault := unknown_label(decision.label, classifiers.get(decision.classifier))):
            sheet.faults.append((line, f"label: {decision.classifier!r} {fault}; given: {decision.label!r}"))
    refuse(path, sheet.faults)
    # Who else was overruled changes no result.
    return [decision.model_copy(update={"overrules": ""}) for _, decision in rows]


def entry_of(decision: Decision) -> Entry:
    """Return what a row of the table says, for `records.decision_log.in_force`."""
    decided = () if decision.decision == UNDO else (decision.decision, decision.label)
    return Entry((decision.key, decision.classifier), decision.who, decided, decision.overrules)


def unknown_label(label: str, labels: Sequence[str] | Mapping[str, float] | None) -> str:
    """Return why `label` is none of the `labels` of a classifier, None if there is no such classifier; empty if it is one."""
    if labels is None:
        return ""
    if not isinstance(labels, Mapping):
        return "" if label in labels else f"has the classes {', '.join(labels)}" if labels else "has no classes"
    try:
        is_inside = labels["least"] <= float(label) <= labels["most"]
    except ValueError:
        is_inside = False
    return "" if is_inside else f"gives scores from {labels['least']:g} to {labels['most']:g}"


class Decided(NamedTuple):
    """Decisions that are not on pictures of classifiers, by their keys."""

    clips: dict[str, Decision]
    frames: dict[str, Decision]
    regions: dict[str, Decision]


def split_decisions(decisions: Iterable[Decision], sources: Iterable[str]) -> Decided:
    """Return the decisions on clips, on frames and on regions in frames. Those that name a classifier are none of them.

    A decision is on a frame if its key is the key of a frame of one of the `sources`, or if it is `negative`. It is on a region
    if its key is the key of a region in such a frame, see `region_key`.
    """
    known = {file_name(source) for source in sources}
    decided = Decided({}, {}, {})
    for decision in decisions:
        if decision.classifier:
            continue
        region = REGION.fullmatch(decision.key)
        if decision.decision == "negative":
            decided.frames[decision.key] = decision
        elif source_of(region[1] if region else decision.key) in known:
            (decided.regions if region else decided.frames)[decision.key] = decision
        else:
            decided.clips[decision.key] = decision
    return decided


def region_key(frame: str, box: Box) -> str:
    """Return the key of a region in the frame with the key `frame`: the edges of its box follow, in whole pixels."""
    return f"{frame}+" + "-".join(str(max(0, round(edge))) for edge in box)


def region_of(key: str) -> tuple[str, Box]:
    """Return the key of the frame and the box of the region with this `key`. Raises `ValueError` if it is none."""
    region = REGION.fullmatch(key)
    if not region:
        raise ValueError(f"{key!r} is no key of a region")
    x0, y0, x1, y1 = map(float, region.groups()[1:])
    return region[1], (x0, y0, x1, y1)


def find_regions(
    decisions: Mapping[str, Decision], boxes: Mapping[str, tuple[str, Box]], frames: Collection[str]
) -> tuple[dict[str, Decision], dict[str, str]]:
    """Return the decisions by the keys of the detections that they are on, and why others are on none, by their own keys.

    `boxes`: the key of the frame and the box of each detection, by its key. `frames`: the keys of all frames; a picture
    that was renamed since keeps its decisions. A detector that was trained again sees other boxes.
    So a decision goes to the detection in its frame that covers its box best, see `match_regions`.
    """
    decided = {key: region_of(key) for key in decisions}
    current_keys = meant_frames({frame for frame, _ in decided.values()}, frames).now
    matches, lost = match_regions({key: (current_keys.get(frame), box) for key, (frame, box) in decided.items()}, boxes)
    return {other: decisions[key] for key, other in matches.items()}, lost


def match_regions(
    decided: Mapping[str, tuple[Hashable, Box]], detected: Mapping[str, tuple[Hashable, Box]]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the `detected` region that each region `decided` on is now, and why others match none, by their keys.

    Both are the frame and the box of each region, by its key. Two boxes are those of one region if their intersection over
    union is `SAME` or more. A decision goes to the region that covers its box best or, if a decision that fits better has that,
    to another that is one region with it; each gets one decision, the best pairs first. What was one region and is two now has
    none: two that are not one region cover its box almost alike.
    """
    in_frame: dict[Hashable, list[str]] = {}
    for other, (frame, _) in detected.items():
        in_frame.setdefault(frame, []).append(other)
    pairs, bests, lost = [], {}, {}
    for key, (frame, box) in decided.items():
        near = sorted((-overlap(box, detected[other][1]), other) for other in in_frame.get(frame, ()))
        value, best = near[0] if near else (0.0, "")
        same_region = {other for _, other in near if overlap(detected[best][1], detected[other][1]) >= SAME}
        second = next((other for part, other in near if other not in same_region and part <= ALMOST * value), None)
        if value > -SAME:
            lost[key] = (
                f"{best} has {-value:.0%} of it in common, less than {SAME:.0%}" if value else "nothing is seen there now"
            )
        elif second:
            lost[key] = f"it is two regions now, {best} and {second}"
        else:
            bests[key] = best
            pairs += [(part, key, other) for part, other in near if part <= -SAME and other in same_region]
    matches: dict[str, str] = {}
    taken: dict[str, str] = {}
    for _, key, other in sorted(pairs):
        if key not in matches and other not in taken:
            matches[key], taken[other] = other, key
    for key in bests.keys() - matches.keys():
        lost[key] = f"{bests[key]} is there, and the decision on {taken[bests[key]]!r} fits that better"
    return matches, dict(sorted(lost.items()))


def mean_box(crops: Sequence[Sequence[int]]) -> Box:
    """Return the mean of the `crops` of a clip, in whole pixels of the video."""
    x0, y0, x1, y1 = (float(max(0, round(sum(edges) / len(crops)))) for edges in zip(*crops, strict=True))
    return x0, y0, x1, y1


def clip_key(key: str, frames: int, box: Box) -> str:
    """Return the key of a clip with what it shows: the number of its frames, and its `mean_box`.

    A decision under this key is on the content: it survives when the clip is cut again, see `find_clips`.
    """
    return f"{key}+{frames}+" + "-".join(f"{edge:.0f}" for edge in box)


def extent_of(key: str) -> ClipExtent | None:
    """Return what the clip with this key showed, see `clip_key`; None if the key does not say. The source is a `file_name`."""
    match = SEEN_CLIP.fullmatch(key)
    if not match:
        return None
    x0, y0, x1, y1 = map(float, match.groups()[4:])
    return ClipExtent(match[2], int(match[3]), int(match[4]), (x0, y0, x1, y1))


def clip_overlap(clip: ClipExtent, other: ClipExtent) -> float:
    """Return the intersection over union of what two clips of a video cover, in pixels times frames. Both have boxes."""
    assert clip.box is not None and other.box is not None
    frames = min(clip.first + clip.frames, other.first + other.frames) - max(clip.first, other.first)
    sides = (min(clip.box[n + 2], other.box[n + 2]) - max(clip.box[n], other.box[n]) for n in (0, 1))
    both = max(frames, 0) * prod(max(side, 0.0) for side in sides)
    return both / (_volume(clip) + _volume(other) - both) if both else 0.0


def _volume(extent: ClipExtent) -> float:
    assert extent.box is not None
    x0, y0, x1, y1 = extent.box
    return extent.frames * (x1 - x0) * (y1 - y0)


def write_matches(path: Path, decisions: Mapping[str, Decision], matches: Mapping[str, str], lost: Mapping[str, str]) -> None:
    """Write a row for each of `decisions` to the ledger `path`: what it is on, or why it matches nothing.

    `matches`: the key of what each is on, by the key of the decision. `lost`: why others match nothing. They have a ledger of
    their own, so that nobody counts them among the items.
    """
    with Ledger(path) as ledger:
        for key, decision in sorted(decisions.items()):
            if key in lost:
                ledger.row(key, "dropped", "matches nothing", "; ".join(filter(None, [str(decision), lost[key]])))
            else:
                ledger.row(key, "ok", "", matches[key] if matches[key] != key else "")


def count_matching(decided: Iterable[tuple[str, str, str, str]], ledgers: Iterable[Path]) -> list[tuple[str, str, str, int]]:
    """Return who decided about what, which decision, and how often, without the decisions that match nothing.

    `decided`: key, person, what it is about, and decision. `ledgers`: see `write_matches`.
    """
    lost = {row["key"] for path in ledgers for row in read_ledger(path) if row["status"] == "dropped"}
    counts = Counter((who, about, decision) for key, who, about, decision in decided if key not in lost)
    return [(*row, count) for row, count in sorted(counts.items())]


def find_clips(
    decisions: Mapping[str, Decision], clips: Mapping[str, ClipExtent]
) -> tuple[dict[str, Decision], dict[str, str]]:
    """Return the decisions by the keys of their `clips`, and the reasons why others match no clip, by their own keys.

    A decision whose key says what the clip showed (`clip_key`) goes to the clip that shows the most of it: the one with the
    largest `clip_overlap`, if that is `SAME_CLIP` or more. Each clip gets one such decision, the best pairs first.

    Any other key contains only the first frame and the number of the track, and a detector or settings can change both. If it
    no longer exists, its decision goes to the only clip of the same source whose first frame is less than half the length of
    that clip away. If there are several, such as two regions in the same frames, or if two decisions would go to the same clip,
    the decision matches none: a guess could drop the wrong clip.

    Of two decisions on one clip, under different keys, the later one counts, as in a table that is a log.
    """
    by_source: dict[str, list[tuple[str, ClipExtent]]] = {}
    for key, extent in sorted(clips.items()):
        by_source.setdefault(file_name(extent.source), []).append((key, extent))
    by_content = {key: extent_in_key for key in decisions if (extent_in_key := extent_of(key)) and key not in clips}
    decided = {key: key for key in decisions if key in clips}  # the key of the decision, by that of the clip
    pairs = []
    for key, extent in by_content.items():
        near = [(clip_overlap(extent, other), clip) for clip, other in by_source.get(extent.source, []) if other.box]
        pairs += [(-value, key, clip) for value, clip in near if value > 0]
    lost = {key: _furthest(key, pairs) for key in by_content}
    order = {key: number for number, key in enumerate(decisions)}
    taken: set[str] = set()
    for value, key, clip in sorted(pairs):
        if -value < SAME_CLIP or key not in lost or clip in taken:
            continue
        taken.add(clip)
        del lost[key]
        first, last = sorted((decided.get(clip, key), key), key=order.__getitem__)
        decided[clip] = last
        if first != last:
            lost[first] = f"the decision on {last!r} is on the same clip, and comes later"
    moved: dict[str, str] = {}
    for key in decisions.keys() - clips.keys() - by_content.keys():
        match = CLIP.fullmatch(key)
        of_source = by_source.get(match[1], []) if match else []
        close = [clip for clip, extent in of_source if match and abs(int(match[2]) - extent.first) < extent.frames / 2]
        if len(close) == 1 and close[0] not in decided:
            moved[key] = close[0]
        else:
            lost[key] = f"near it: {', '.join(close)}" if close else ""
    claims = Counter(moved.values())
    lost |= {key: f"near it, as another decision: {clip}" for key, clip in moved.items() if claims[clip] > 1}
    decided |= {clip: key for key, clip in moved.items() if claims[clip] == 1}
    return {clip: decisions[key] for clip, key in decided.items()}, dict(sorted(lost.items()))


def _furthest(key: str, pairs: Sequence[tuple[float, str, str]]) -> str:
    """Return why a decision matches no clip: how much of what it is on the best one of `pairs` has."""
    best = min((pair for pair in pairs if pair[1] == key), default=None)
    if best is None:
        return "no clip shows any of it now"
    if -best[0] >= SAME_CLIP:
        return f"{best[2]} shows it, and another decision fits that better"
    return f"{best[2]} has {-best[0]:.0%} of it in common, less than {SAME_CLIP:.0%}"
