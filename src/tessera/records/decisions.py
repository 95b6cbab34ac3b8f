"""Decisions: what a person said of single clips and frames, which no filter overrules."""

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
KEY = re.compile(r"[\w.%~-]*", re.ASCII)  # what `file_name` makes of a source, and numbers


class Decision(BaseModel):
    """One row of the table of decisions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str = Field(min_length=1, description="of a clip, or of a frame")
    decision: Literal["keep", "drop"]
    reason: str = Field("", description="why; any text")
    who: str = Field(min_length=1, description="who decided")
    when: str = Field(description="the day, as 2024-12-31")

    @field_validator("key")
    @classmethod
    def _may_be_one(cls, value: str) -> str:
        if not KEY.fullmatch(value):
            raise ValueError("is no key of a clip or a frame: write it as their files are called, without the ending")
        return value

    @field_validator("when")
    @classmethod
    def _a_day(cls, value: str) -> str:
        try:
            day = date.fromisoformat(value).isoformat()
        except ValueError:
            day = ""
        if day != value:
            raise ValueError("should be a day, as 2024-12-31")
        return value

    def __str__(self) -> str:
        return f"{self.who}, {self.when}" + (f": {self.reason}" if self.reason else "")


class Place(NamedTuple):
    """Where a clip comes from."""

    source: str
    first: int
    frames: int


def read_decisions(path: Path) -> dict[str, Decision]:
    """Return the decisions in the file `path` by their keys; how it is written: see `tessera.core.tsv.read_sheet`.

    There are none where the default file is not there. Raises `TesseraError` that lists every fault with its line.
    """
    mend = "set `decisions` to your table of decisions"
    try:
        rows, faults = read_sheet(path, Decision, "table of decisions", mend)
    except FileNotFoundError:
        if Path(path) == DEFAULT:
            return {}
        raise TesseraError(f"{path}: no such table of decisions; {mend} (see config/README.md)") from None
    lines: dict[str, int] = {}
    for line, decision in rows:
        if lines.setdefault(decision.key, line) != line:
            faults.append((line, f"{decision.key!r} is already on line {lines[decision.key]}"))
    refuse(path, faults)
    return {decision.key: decision for _, decision in rows}


def split_decisions(decisions: Iterable[Decision], sources: Iterable[str]) -> tuple[dict[str, Decision], dict[str, Decision]]:
    """Return the decisions on clips and those on frames, by their keys: on frames are those of one of the `sources`."""
    known = {file_name(source) for source in sources}
    clips: dict[str, Decision] = {}
    frames: dict[str, Decision] = {}
    for decision in decisions:
        frame = FRAME.fullmatch(decision.key)
        (frames if frame and frame[1] in known else clips)[decision.key] = decision
    return clips, frames


def find_clips(decisions: Mapping[str, Decision], clips: Mapping[str, Place]) -> tuple[dict[str, Decision], dict[str, str]]:
    """Return the decision on each of the `clips`, by their keys, and why others are on none, by the keys of these decisions.

    The key of a clip holds its first frame and the number of its track, and both can move with a setting. A key that is no more
    is taken for the only clip of its source that begins less than half of its own length away; where there are several, as of
    two regions shown at a time, or two decisions would be on one clip, none is: to guess could drop another clip.
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
