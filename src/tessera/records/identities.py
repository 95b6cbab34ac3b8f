"""Names of identities, folders of reference pictures, and the decisions of people about identities."""

import hashlib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from tessera.core.errors import TesseraError
from tessera.core.files import IMAGE_SUFFIXES, SPECIAL, files_below, quoted
from tessera.core.messages import Message, truncate
from tessera.core.names import folded
from tessera.core.tsv import Day, Fault, read_shipped_sheet, refuse
from tessera.imaging.boxes import Box
from tessera.records.decision_log import UNDO, Entry, in_force
from tessera.records.decisions import REGION, match_regions, region_of
from tessera.records.frame_keys import content_key, parse_key

DEFAULT = Path("config/identities.tsv")
FORBIDDEN = '/\\,+:*?"<>|'  # separators of paths and of lists of names, and what some file systems do not allow
LONGEST = 100  # characters of a name
NOISE = "noise"  # folders of references whose names start with it hold what is no identity
PREFIX = "cluster_"  # of the names of clusters
DIGITS = 12  # hexadecimal digits of the name of a cluster; no key of a crop has this form
CLUSTER = f"^{PREFIX}[0-9a-f]{{{DIGITS}}}$"  # the form of the names of clusters that nobody named
SHOWN = 10  # faults of a folder that are listed
OTHERS, NOBODY = (
    "character_others",
    "no_character",
)  # folders of image sets: rare combinations, and pictures without an identity


def identity_fault(name: str) -> str:
    """Return why `name` cannot be the name of an identity; empty if it can.

    Names become folders, and parts of captions and of lists that are joined with commas or `+`.
    """
    if not name.strip():
        return "a name should not be empty"
    if name != name.strip():
        return "a name should not start or end with a space"
    if not name.isprintable():
        return "a name should have no line breaks or other control characters"
    if forbidden := [letter for letter in FORBIDDEN if letter in name]:
        return f"a name should not contain {' '.join(forbidden)}"
    if name.startswith("."):
        return "a name should not start with a dot"
    if name in {OTHERS, NOBODY}:
        return "this name stands for pictures of no single identity"
    if len(name) > LONGEST:
        return f"a name should have at most {LONGEST} characters, this one has {len(name)}"
    return ""


def clashing_names(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs of different `names` that look alike: they differ only in case, or in how Unicode composes letters.

    Some file systems ignore both, and people overlook it. The first of a pair comes first in `names`.
    """
    first: dict[str, str] = {}
    pairs = ((first.setdefault(folded(name), name), name) for name in dict.fromkeys(names))
    return [(one, other) for one, other in pairs if one != other]


def cluster_name(key: str) -> str:
    """Return the name of the cluster whose medoid is the crop `key`."""
    return f"{PREFIX}{hashlib.sha256(content_key(key).encode()).hexdigest()[:DIGITS]}"


class Reference(NamedTuple):
    """A reference picture `IDENTITY/APPEARANCE/…/FILE`, below the folder of references."""

    key: str  # the path below the folder, with `/`
    path: Path
    identity: str  # empty for noise
    appearance: str  # the folders between, joined with `/`


def reference_of(key: str, folder: Path = Path()) -> Reference:
    """Return the reference picture at the path `key`, with `/`, below `folder`."""
    identity, *between, _ = key.split("/")
    is_noise = folded(identity).startswith(NOISE)
    return Reference(key, Path(folder) / key, "" if is_noise else identity, "" if is_noise else "/".join(between))


def read_references(folder: Path) -> list[Reference]:
    """Return the pictures in the `folder` of references, sorted by key.

    Each folder directly in it is an identity or, if its name starts with `noise`, holds pictures of what is none. The folders
    in it are appearances, at any depth. Raises `TesseraError` that lists what is wrong: pictures outside the folders of
    identities, folders without a picture, and names that no identity or appearance can have.
    """
    keys = []
    faults: dict[str, None] = {}
    filled = set()
    for file in files_below(folder, IMAGE_SUFFIXES):
        key = file.relative_to(folder).as_posix()
        parts = key.split("/")
        filled.add(parts[0])
        if len(parts) == 1:
            faults[f"{key!a}: put it into the folder of an identity"] = None
        elif not key.isprintable() or SPECIAL.search(key):
            faults[f"{key!a}: rename it, without control characters and <, >, {{ or }}"] = None
        elif fault := next((f"{part!r}: {fault}" for part in parts[:-1] if (fault := identity_fault(part))), ""):
            faults[fault] = None
        else:
            keys.append(key)
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.is_dir() and not path.name.startswith(".") and path.name not in filled:
            fault = (
                "a link to a folder is not followed; copy it" if path.is_symlink() else "a folder without a picture; add some"
            )
            faults[f"{path.name!a}: {fault}, or remove it"] = None
    folders = (path.as_posix() for key in sorted(keys) for path in PurePosixPath(key).parents)
    for first, other in clashing_names(folders):
        faults[f"{other!a}: it looks like {first!a}; rename one folder, or put their pictures together"] = None
    if not keys and not faults:
        faults["there is no picture; add a folder of pictures for each identity"] = None
    if faults:
        raise TesseraError(f"the references in {quoted(folder)}: {'; '.join(truncate(list(faults), SHOWN))}")
    return [reference_of(key, folder) for key in sorted(keys)]


class IdentityDecision(BaseModel):
    """One row of the table of decisions about identities."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: str = Field(min_length=1, description="name of a cluster or an identity, or key of a crop")
    action: Literal["rename", "merge", "move", "reject", "undo"]
    to: str = Field("", validate_default=True, description="identity that it becomes or joins; empty for `reject` and `undo`")
    by: str = Field(min_length=1, description="who decided")
    date: Day = Field(description="in the form 2024-12-31")
    note: str = Field("", description="why; any text")
    overrules: str = Field("", description="person whose decision it replaces, because the two disagree")

    @field_validator("target")
    @classmethod
    def _can_exist(cls, value: str) -> str:
        # The keys of crops may be longer than names, and say where the crop was.
        crop = REGION.fullmatch(value)
        if fault := identity_fault((crop[1] if crop else value)[:LONGEST]):
            raise ValueError(f"{fault}: use the name of a cluster or an identity, or the key of a crop")
        return value

    @field_validator("to")
    @classmethod
    def _is_a_name(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("action") in {"reject", UNDO}:
            if value:
                raise ValueError(f"should be empty, because `{info.data['action']}` names no identity")
        elif fault := identity_fault(value):
            raise ValueError(fault)
        elif value == info.data.get("target"):
            raise ValueError("should differ from `target`")
        return value


def read_identity_decisions(path: Path, known: Iterable[str] = ()) -> list[IdentityDecision]:
    """Return the decisions about identities in the file `path`. `tessera.core.tsv.read_sheet` describes the format.

    The table is a log, see `records.decision_log.in_force`; the decisions that count are returned, without the column
    `overrules`. There are none if the default file does not exist. `known`: the names of the references. Raises `TesseraError`
    that lists every fault with its line, such as two people who disagree, two targets that are renamed to one name, names that
    look alike, and decisions that lead in a circle.
    """
    fix = "set `identities.decisions` to your table of decisions"
    sheet = read_shipped_sheet(path, IdentityDecision, "table of identities", fix, DEFAULT)
    rows, disagreements = in_force(sheet.rows, entry_of)
    sheet.faults.extend(disagreements)
    sheet.faults.extend(contradictions(rows, known))
    refuse(path, sheet.faults)
    return [decision.model_copy(update={"overrules": ""}) for _, decision in rows]


def contradictions(rows: Sequence[tuple[int, IdentityDecision]], known: Iterable[str] = ()) -> list[Fault]:
    """Return the faults of decisions, each with its line, that cannot all hold.

    These are two targets that are renamed to one name, names that look alike, also as one of `known`, and circles.
    """
    faults: list[tuple[int, Message]] = []
    to = {decision.to: line for line, decision in reversed(rows) if decision.to}
    for earlier, other in clashing_names([*known, *reversed(to)]):
        where = f"on line {to[earlier]}" if earlier in to else "among the references"
        faults.append((to[other], f"to: {other!a} looks like {earlier!a} {where}; write both alike"))
    names: dict[str, int] = {}
    onward = {each.target: each.to for _, each in rows if each.action != "move"}
    for line, decision in rows:
        if decision.action == "rename" and (first := names.setdefault(decision.to, line)) != line:
            faults.append((line, f"line {first} also renames to {decision.to!r}; use `merge` here to join the two"))
        passed = [decision.target]
        while decision.action != "move" and (follower := onward.get(passed[-1])):
            if follower in passed:
                circle = " → ".join([*passed, follower])
                faults.append((line, f"{circle} is a circle; remove one of these decisions"))
                break
            passed.append(follower)
    return faults


def find_crops(targets: Iterable[str], boxes: Mapping[str, Box]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the crops that `targets` are on which say where their crop was, and why others are on none, both by the target.

    Such a target is the key of the crop and its box in the frame, as `records.decisions.region_key` writes them: a detector
    that was trained again finds crops in another order. `boxes`: of all crops of today. `records.decisions.match_regions` finds
    the same crop.
    """
    placed = {target: region_of(target) for target in targets if REGION.fullmatch(target)}
    return match_regions(
        {target: (_frame_of(key), box) for target, (key, box) in placed.items()},
        {crop: (_frame_of(crop), box) for crop, box in boxes.items()},
    )


def _frame_of(crop: str) -> Hashable:
    parsed = parse_key(crop)
    return (parsed.source, parsed.digest or parsed.name) if parsed else crop


def entry_of(decision: IdentityDecision) -> Entry:
    """Return what a row of the table says, for `records.decision_log.in_force`."""
    decided = () if decision.action == UNDO else (decision.action, decision.to)
    return Entry((decision.target,), decision.by, decided, decision.overrules)


def final_names(decisions: Iterable[IdentityDecision]) -> Mapping[str, str]:
    """Return the last name of each target of `rename`, `merge` and `reject`, empty if it is rejected."""
    onward = {each.target: each.to for each in decisions if each.action != "move"}
    names = {}
    for target in onward:
        name = target
        while name in onward:
            name = onward[name]
        names[target] = name
    return names
