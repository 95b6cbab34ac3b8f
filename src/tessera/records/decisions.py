"""Decisions of people about single clips and frames, which override all filters."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tessera.core.errors import TesseraError
from tessera.core.files import file_name
from tessera.core.tsv import read_sheet, refuse

DEFAULT = Path("config/decisions.tsv")
CLIP = re.compile(r"(.+)-(\d+)-(\d+)", re.DOTALL)  # source, first frame and track
FRAME = re.compile(r"(.+)-(\d+)", re.DOTALL)  # source and index
KEY = re.compile(r"[\w.%~-]*", re.ASCII)  # a result of `file_name`, and numbers


class Decision(BaseModel):
    """One row of the table of decisions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str = Field(min_length=1, description="key of a clip or of a frame")
    decision: Literal["keep", "drop"]
    reason: str = Field("", description="why; any text")
    who: str = Field(min_length=1, description="who decided")
    when: str = Field(description="date in the form 2024-12-31")

    @field_validator("key")
    @classmethod
    def _may_be_one(cls, value: str) -> str:
        if not KEY.fullmatch(value):
            raise ValueError("is not a key of a clip or a frame: use the name of its file, without the extension")
        return value

    @field_validator("when")
    @classmethod
    def _a_day(cls, value: str) -> str:
        try:
            day = date.fromisoformat(value).isoformat()
        except ValueError:
            day = ""
        if day != value:
            raise ValueError("should be a date such as 2024-12-31")
        return value

    def __str__(self) -> str:
        return f"{self.who}, {self.when}" + (f": {self.reason}" if self.reason else "")


class Place(NamedTuple):
    """The place of a clip in its source: index of the first frame, and number of frames."""

    source: str
    first: int
    frames: int


def read_decisions(path: Path) -> dict[str, Decision]:
    """Return the decisions in the file `path` by their keys. `tessera.core.tsv.read_sheet` describes the format.

    There are no decisions if the default file does not exist. Raises `TesseraError` that lists every fault with its line.
    """
    fix = "set `decisions` to your table of decisions"
    try:
        sheet = read_sheet(path, Decision, "table of decisions", fix)
    except FileNotFoundError:
        if Path(path) == DEFAULT:
            return {}
        raise TesseraError(f"{path}: no such table of decisions; {fix} (see config/README.md)") from None
    lines: dict[str, int] = {}
    for line, row in sheet.texts:
        if (key := row.get("key", "")) and lines.setdefault(key, line) != line:
            sheet.faults.append((line, f"{key!r} is already on line {lines[key]}"))
    refuse(path, sheet.faults)
    return {decision.key: decision for _, decision in sheet.rows}


def split_decisions(decisions: Iterable[Decision], sources: Iterable[str]) -> tuple[dict[str, Decision], dict[str, Decision]]:
    """Return the decisions on clips and the decisions on frames, by their keys.

    A decision is on a frame if its key is the key of a frame of one of the `sources`.
    """
    known = {file_name(source) for source in sources}
    clips: dict[str, Decision] = {}
    frames: dict[str, Decision] = {}
    for decision in decisions:
        frame = FRAME.fullmatch(decision.key)
        (frames if frame and frame[1] in known else clips)[decision.key] = decision
    return clips, frames


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
