"""Decisions of people about single clips, frames, regions and pictures of classifiers, which override all filters."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from tessera.core.files import file_name
from tessera.core.tsv import Day, read_shipped_sheet, refuse
from tessera.imaging.boxes import Box, overlap
from tessera.records.frame_keys import meant_frames, source_of
from tessera.records.log import UNDO, Entry, in_force

DEFAULT = Path("config/decisions.tsv")
CLIP = re.compile(r"(.+)-(\d+)-(\d+)", re.DOTALL)  # source, first frame and track
REGION = re.compile(r"([^+]+)\+(\d+)-(\d+)-(\d+)-(\d+)", re.DOTALL)  # frame, and the edges of its box
SAME = 0.5  # intersection over union from which on two boxes are those of one region
KEY = re.compile(r"[\w.%~+-]*", re.ASCII)  # results of `file_name`, joined by +, and numbers


class Decision(BaseModel):
    """One row of the table of decisions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str = Field(min_length=1, description="key of a clip, a frame, a region or a picture of a classifier")
    decision: Literal["keep", "drop", "relabel", "negative", "undo"]
    reason: str = Field("", description="why; any text")
    who: str = Field(min_length=1, description="who decided")
    when: Day = Field(description="date in the form 2024-12-31")
    classifier: str = Field(
        "",
        validate_default=True,
        description="classifier that the decision is for; empty: a decision on a clip, a frame or a region",
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


class Place(NamedTuple):
    """The place of a clip in its source: index of the first frame, and number of frames."""

    source: str
    first: int
    frames: int


def read_decisions(path: Path, classifiers: Mapping[str, Any]) -> list[Decision]:
    """Return the decisions in the file `path`. `tessera.core.tsv.read_sheet` describes the format.

    The table is a log, see `records.log.in_force`; the decisions that count are returned, without the column `overrules`.
    `classifiers`: by name, the list of their classes, or `{"least": …, "most": …}` for a score. There are no decisions if the
    default file does not exist. Raises `TesseraError` that lists every fault with its line, such as a label that the classifier
    does not know, or two people who disagree.
    """
    fix = "set `decisions` to your table of decisions"
    sheet = read_shipped_sheet(path, Decision, "table of decisions", fix, DEFAULT)
    found, disagreements = in_force(sheet.rows, entry_of)
    sheet.faults.extend(disagreements)
    for line, decision in found:
        if decision.label and (fault := unknown_label(decision.label, classifiers.get(decision.classifier))):
            sheet.faults.append((line, f"label: {decision.classifier!r} {fault}; given: {decision.label!r}"))
    refuse(path, sheet.faults)
    # Who else was overruled changes no result.
    return [decision.model_copy(update={"overrules": ""}) for _, decision in found]


def entry_of(decision: Decision) -> Entry:
    """Return what a row of the table says, for `records.log.in_force`."""
    says = () if decision.decision == UNDO else (decision.decision, decision.label)
    return Entry((decision.key, decision.classifier), decision.who, says, decision.overrules)


def unknown_label(label: str, labels: Sequence[str] | Mapping[str, float] | None) -> str:
    """Return why `label` is none of the `labels` of a classifier, None if there is no such classifier; empty if it is one."""
    if labels is None:
        return ""
    if not isinstance(labels, Mapping):
        return "" if label in labels else f"has the classes {', '.join(labels)}"
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
    found = Decided({}, {}, {})
    for decision in decisions:
        if decision.classifier:
            continue
        region = REGION.fullmatch(decision.key)
        if decision.decision == "negative":
            found.frames[decision.key] = decision
        elif source_of(region[1] if region else decision.key) in known:
            (found.regions if region else found.frames)[decision.key] = decision
        else:
            found.clips[decision.key] = decision
    return found


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
) -> tuple[dict[str, Decision], list[str]]:
    """Return the decisions by the keys of the detections that they are on, and the keys of those that are on none.

    `boxes`: the key of the frame and the box of each detection, by its key. `frames`: the keys of all frames; a picture
    that was renamed since keeps its decisions. A detector that was trained again sees other boxes.
    So a decision goes to the detection in its frame that covers its box best, if the intersection over union is `SAME` or more.
    Each detection gets one decision, the best pairs first.
    """
    of_frame: dict[str, list[tuple[str, Box]]] = {}
    for key, (frame, box) in boxes.items():
        of_frame.setdefault(frame, []).append((key, box))
    decided = {key: region_of(key) for key in decisions}
    now = meant_frames({frame for frame, _ in decided.values()}, frames).now
    pairs = []
    for key, (frame, wanted) in decided.items():
        pairs += [(-overlap(box, wanted), key, other) for other, box in of_frame.get(now.get(frame, ""), ())]
    found: dict[str, Decision] = {}
    lost = set(decisions)
    for value, key, other in sorted(pairs):
        if -value >= SAME and key in lost and other not in found:
            found[other] = decisions[key]
            lost.remove(key)
    return found, sorted(lost)


def find_clips(decisions: Mapping[str, Decision], clips: Mapping[str, Place]) -> tuple[dict[str, Decision], dict[str, str]]:
    """Return the decisions by the keys of their `clips`, and the reasons why others match no clip, by their own keys.

    The key of a clip contains its first frame and the number of its track, and settings can change both. If a key no longer
    exists, its decision goes to the only clip of the same source whose first frame is less than half the length of that clip
    away. If there are several, such as two regions in the same frames, or if two decisions would go to the same clip, the
    decision matches none: a guess could drop the wrong clip.
    """
    decided = {key: decision for key, decision in decisions.items() if key in clips}
    by_source: dict[str, list[tuple[str, Place]]] = {}
    for key, place in sorted(clips.items()):
        by_source.setdefault(file_name(place.source), []).append((key, place))
    moved: dict[str, str] = {}
    lost: dict[str, str] = {}
    for key in decisions.keys() - clips.keys():
        clip = CLIP.fullmatch(key)
        of_source = by_source.get(clip[1], []) if clip else []
        near = [other for other, place in of_source if clip and abs(int(clip[2]) - place.first) < place.frames / 2]
        if len(near) == 1 and near[0] not in decided:
            moved[key] = near[0]
        else:
            lost[key] = f"near it: {', '.join(near)}" if near else ""
    meant = Counter(moved.values())
    lost |= {key: f"near it, as another decision: {clip}" for key, clip in moved.items() if meant[clip] > 1}
    decided |= {clip: decisions[key] for key, clip in moved.items() if meant[clip] == 1}
    return decided, dict(sorted(lost.items()))
