"""Balance an image set: how often the pictures of each folder are repeated.

The tree of probabilities and the repeats are those of anime_screenshot_pipeline, see `probabilities` and `multiplies`.
"""

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field

from tessera.core.log import tell
from tessera.core.tsv import read_sheet, refuse
from tessera.extras.image_sets.arrangement_settings import ArrangementSettings

COLUMNS = "pattern", "weight"
Node = tuple[str, ...]  # the names of the folders on the way to a folder; empty for the set's own folder


class Weight(BaseModel):
    """One row of the table of weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pattern: str = Field(min_length=1, description="name of a folder, or a pattern of its path in the set such as `*/alice`")
    # The bounds keep products along any path of folders within what a float can hold.
    weight: float = Field(
        gt=0, ge=1e-9, le=1e9, allow_inf_nan=False, description="how often it is drawn, relative to the folders beside it"
    )


def read_weights(path: Path) -> list[tuple[int, Weight]]:
    """Return the weights in the file `path` with their lines. Raises `TesseraError` that lists each fault with its line.

    A file `.csv` is one of anime_screenshot_pipeline: a pattern and a weight on each line, without a header.
    """
    fix = "set `arrangement.weights` to your table of weights"
    sheet = read_sheet(path, Weight, "table of weights", fix, COLUMNS if path.suffix.lower() == ".csv" else None)
    lines: dict[str, int] = {}
    for line, row in sheet.texts:
        pattern = row.get("pattern", "")
        if pattern and (first := lines.setdefault(pattern, line)) != line:
            sheet.faults.append((line, f"the pattern {pattern!r} is already on line {first}; remove one of the two"))
    refuse(path, sheet.faults)
    return sheet.rows


def nodes_of(folders: Sequence[str]) -> list[Node]:
    """Return `folders` and all folders above them, with the set's own folder."""
    parts = [tuple(folder.split("/")) if folder else () for folder in folders]
    return sorted({part[:depth] for part in parts for depth in range(len(part) + 1)})


def weigh(node: Node, weights: Sequence[Weight]) -> float:
    """Return the weight of the folder `node`: that of its name, else of the first pattern of its path, else 1."""
    named = [each.weight for each in weights if each.pattern in _names(node)]
    return next(iter([*named, *(each.weight for each in weights if _matches(node, each.pattern))]), 1.0)


def _names(node: Node) -> set[str]:
    """Return the names of the folder `node`: as it is, and as people write it."""
    return {node[-1], unquote(node[-1])} if node else {""}


def _matches(node: Node, pattern: str) -> bool:
    """Return whether `pattern` matches the path of `node`, which begins in the set's own folder: `*/alice` matches `alice`."""
    paths = ["/".join(node), unquote("/".join(node))]
    return any(fnmatchcase(start + path, pattern) for path in paths for start in ("", "/"))


def unmatched(folders: Sequence[str], weights: Sequence[tuple[int, Weight]]) -> list[tuple[int, str]]:
    """Return the lines and patterns of those `weights` that match none of `folders` and none of the folders above them."""
    nodes = nodes_of(folders)
    return [
        (line, each.pattern)
        for line, each in weights
        if not any(each.pattern in _names(node) or _matches(node, each.pattern) for node in nodes)
    ]


def probabilities(folders: Sequence[str], weight: Callable[[Node], float]) -> dict[str, float]:
    """Return the probability that a picture of an epoch comes from each of `folders`, which hold pictures.

    At each folder, one of those in it is drawn with a probability in proportion to its weight. If the folder holds pictures
    itself, these are one more choice, with the weight of the folder.
    """
    nodes = nodes_of(folders)
    inside: dict[Node, list[Node]] = {}
    for node in nodes:
        if node:
            inside.setdefault(node[:-1], []).append(node)
    filled = {tuple(folder.split("/")) if folder else () for folder in folders}
    shares: dict[str, float] = {}
    reached: dict[Node, float] = {(): 1.0}
    for node in nodes:  # a folder comes before those in it
        entries = {each: weight(each) for each in inside.get(node, [])}
        total = sum(entries.values()) + (weight(node) if node in filled else 0)
        reached |= {each: reached[node] * entry_weight / total for each, entry_weight in entries.items()}
        if node in filled:
            shares["/".join(node)] = reached[node] * weight(node) / total
    return shares


def multiplies(probability: Mapping[str, float], counts: Mapping[str, int], settings: ArrangementSettings) -> dict[str, float]:
    """Return how often each picture of each folder is repeated, so that an epoch has the folders in their `probability`.

    The least repeats are `min_multiply`, and more than `max_multiply` are cut. `counts`: the pictures of each folder, positive.
    """
    each = {folder: share / counts[folder] for folder, share in probability.items()}
    least = min(each.values())
    # Six digits are enough for any share, and hide the errors of floats.
    wanted = {folder: float(f"{share / least * settings.min_multiply:.6g}") for folder, share in each.items()}
    if settings.repeats == "integer":
        wanted = {folder: float(round(repeats)) for folder, repeats in wanted.items()}
    return {folder: min(repeats, settings.max_multiply) for folder, repeats in wanted.items()}


def balance(
    counts: Mapping[str, int], weights: Path | None, settings: ArrangementSettings
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the planned probability and the repeats of each folder in `counts`, the number of its pictures.

    `weights`: the table of weights; those that match no folder are reported.
    """
    if not settings.is_balanced:
        total = sum(counts.values())
        return {folder: count / total for folder, count in counts.items()}, dict.fromkeys(counts, 1.0)
    rows = read_weights(weights) if weights else []
    for line, pattern in unmatched(list(counts), rows):
        tell(f"{weights}: line {line}: the pattern {pattern!r} matches no folder; correct or remove it")
    shares = probabilities(list(counts), lambda node: weigh(node, [each for _, each in rows]))
    return shares, multiplies(shares, counts, settings)
