"""Score any folder of pictures: a table, copies or links by score, and contact sheets."""

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tessera.core.errors import Dropped, Failed, TesseraError
from tessera.core.files import IMAGE_SUFFIXES, file_name, files_below, quoted
from tessera.core.ledger import read_ledger
from tessera.core.log import tell
from tessera.core.messages import format_counts, pluralize
from tessera.core.progress import progress
from tessera.core.tsv import write_sheet
from tessera.extras.classifiers.predict import Use, score_pictures
from tessera.extras.classifiers.settings import ScoreSettings
from tessera.imaging.images import read_image, shrink, write_image
from tessera.imaging.sheets import contact_sheet
from tessera.records.blocklist import read_blocklist
from tessera.records.image_checks import check_image
from tessera.records.limits import label_fault
from tessera.records.tables.classification import Scored
from tessera.records.tables.table import read_table

TILE = 240  # pixels, longer side of a picture on a contact sheet
COLUMNS = 6
DIGITS = 6  # decimals in the table
NAME = 20  # letters of the name of a picture, below it


class Values(NamedTuple):
    """The value of each picture, by its path in the folder: the probability of the class `label`, or the score."""

    label: str | None
    of: dict[str, float]


def score_folder(
    folder: Path,
    use: Use,
    blocklist: Path,
    blocklist_distance: int,
    *,
    threads: int,
    scored: Path,
    ledger: Path,
) -> None:
    """Write the predictions of a classifier for the pictures below `folder` to `scored` (`tables.Scored`), sorted by path.

    The key of a picture is its path in `folder`. Hidden files and folders are left out, and links to folders are not followed.
    `ledger` gets one row for each other file: one that is no picture is dropped, one that cannot be read fails. A picture must
    pass `check_image` with the `blocklist`. No file of `folder` is changed.
    """
    listed = read_blocklist(blocklist)

    def read(name: str, path: Path) -> np.ndarray:
        _check_name(name)
        return check_image(path, quoted(path), listed, blocklist_distance).picture.pixels

    files = {file.relative_to(folder).as_posix(): file for file in files_below(folder)}
    score_pictures(files, use, scored, ledger, threads=threads, read=read)
    rows = read_ledger(ledger)
    reasons = Counter(row["reason"] for row in rows if row["status"] != "ok")
    summary = (
        f"{sum(row['status'] == 'ok' for row in rows):,} of {pluralize(len(rows), 'files')} in {str(folder)!r} were scored"
    )
    tell(f"{summary}; not scored: {format_counts(reasons)}" if reasons else summary)


def _check_name(name: str) -> None:
    """Raise `Dropped` or `Failed` if a file of the `name` is not scored."""
    if Path(name).suffix.lower() not in IMAGE_SUFFIXES:
        raise Dropped("not a picture", f"pictures end in {', '.join(sorted(IMAGE_SUFFIXES))}")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise Failed("name is not UTF-8", "no table can hold it; rename the file, or the folder that it is in") from None


def show_scores(folder: Path, scored: Path, settings: ScoreSettings, table: Path, brackets: Path, sheets: Path) -> None:
    """Show the predictions of a classifier for the pictures in `folder`.

    `scored`: `tables.Scored`, with paths in `folder` as keys.
    `table` is a TSV with a row per picture, sorted by path: its path, and its most probable class and the probability of each,
    or its score. `brackets` gets a folder per bracket, `0.2-0.4`, with copies of its pictures or relative links to them, in
    the folders in which they lie in `folder`; with several classes, in a folder per class. A value on the
    edge of two brackets belongs to the upper one. `sheets` gets contact sheets of the pictures with the highest and the
    lowest values of each class, and of the least certain ones: those with the smallest difference of the two highest
    probabilities, or with the score closest to the middle of the brackets. Raises `TesseraError` if there is no such class.
    """
    rows = read_table(scored, Scored).to_dicts()
    classes: list[str] = rows[0]["classes"] if rows else []
    if classes:
        columns = ["path", "label", *(f"probability of {name}" for name in classes)]
        cells = ([row["key"], row["label"], *(round(each, DIGITS) for each in row["probabilities"])] for row in rows)
        write_sheet(table, columns, cells)
    else:
        write_sheet(table, ["path", "score"], ([row["key"], round(row["score"], DIGITS)] for row in rows))
    brackets.mkdir()
    sheets.mkdir()
    shown_values = _values_of_classes(rows, classes, settings.label)
    for values in shown_values:
        folder_of_class = brackets / file_name(values.label) if len(shown_values) > 1 and values.label is not None else brackets
        if settings.place != "none":
            _place(folder, values, settings.brackets, folder_of_class, is_link=settings.place == "link")
        suffix = f"-{file_name(values.label)}" if len(shown_values) > 1 and values.label is not None else ""
        what = "score" if values.label is None else f"probability of {values.label}"
        for word, sign in (("highest", -1), ("lowest", 1)):
            order = sorted(values.of, key=lambda name: (sign * values.of[name], name))
            captions = {name: f"{value:.3f}" for name, value in values.of.items()}
            _write_sheet(f"{word} {what}", folder, order, captions, settings.shown, sheets / f"{word}{suffix}.jpg")
    certainty = _certainty(rows, settings)
    order = [name for _, name in sorted((value, name) for name, value in certainty.items())]
    captions = {
        row["key"]: f"{row['label']} {max(row['probabilities']):.3f}" if classes else f"{row['score']:.3f}" for row in rows
    }
    _write_sheet("least certain", folder, order, captions, settings.shown, sheets / "least-certain.jpg")
    tell(f"the table, the brackets and the contact sheets are in {table.parent}")


def _values_of_classes(rows: Sequence[dict[str, Any]], classes: Sequence[str], label: str | None) -> list[Values]:
    """Return the scores, or the probabilities of the class `label`; of each class if it is None."""
    if rows and label is not None and (fault := label_fault(label, classes)):
        raise TesseraError(f"`score.label` does not fit the classifier: {fault}")
    if not classes:
        return [Values(None, {row["key"]: row["score"] for row in rows})]
    wanted = [label] if label is not None else classes
    return [Values(name, {row["key"]: row["probabilities"][classes.index(name)] for row in rows}) for name in wanted]


def _certainty(rows: Sequence[dict[str, Any]], settings: ScoreSettings) -> dict[str, float]:
    middle = (settings.brackets[0] + settings.brackets[-1]) / 2

    def certainty(row: dict[str, Any]) -> float:
        if row["score"] is not None:
            return abs(float(row["score"]) - middle)
        first, second = sorted(row["probabilities"], reverse=True)[:2]
        return float(first - second)

    return {row["key"]: certainty(row) for row in rows}


def _place(folder: Path, values: Values, edges: Sequence[float], brackets: Path, *, is_link: bool) -> None:
    """Copy or link each picture into the folder of its bracket, below `brackets`."""
    outside = 0
    for name, value in progress(values.of.items(), len(values.of), "pictures"):
        number = bracket_of(value, edges)
        if number is None:
            outside += 1
            continue
        file = brackets / f"{edges[number]:g}-{edges[number + 1]:g}" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if is_link:
            # Of real folders, because a link is followed from where it really lies.
            original = (folder / name).parent.resolve() / file.name
            file.symlink_to(os.path.relpath(original, file.parent.resolve()))
        else:
            shutil.copyfile(folder / name, file)
    if outside:
        tell(
            f"outside of all brackets from {edges[0]:g} to {edges[-1]:g}: {pluralize(outside, 'pictures')};"
            " see `score.brackets`"
        )


def bracket_of(value: float, edges: Sequence[float]) -> int | None:
    """Return the number of the bracket between two of `edges` that `value` is in, the upper one on an edge; None if in none."""
    if not edges[0] <= value <= edges[-1]:
        return None
    return next(number for number in reversed(range(len(edges) - 1)) if value >= edges[number])


def _write_sheet(heading: str, folder: Path, order: Sequence[str], captions: dict[str, str], shown: int, path: Path) -> None:
    """Draw the first `shown` pictures of `order`, each with its caption and its name. Nothing is written if there are none."""

    def tiles() -> Iterator[tuple[Any, str]]:
        for name in order[:shown]:
            short = name if len(name) <= NAME else f"…{name[1 - NAME :]}"
            yield shrink(read_image(folder / name), TILE), f"{captions[name]}  {short}"

    if order:
        title = f"{folder.name}: {min(shown, len(order)):,} of {pluralize(len(order), 'pictures')}"
        write_image(path, contact_sheet(title, {heading: list(tiles())}, TILE, COLUMNS))
