"""Import sets whose images have one label or score each."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

import polars as pl

from tessera.core.archives import File, open_files
from tessera.core.errors import Dropped, Failed, TesseraError
from tessera.core.ledger import Ledger
from tessera.core.log import tell
from tessera.core.messages import pluralize
from tessera.records.annotation.model import Loss
from tessera.records.blocklist import read_blocklist
from tessera.records.label_sets import IMAGE_LABELS, key_in_set, meaning, name_in_set
from tessera.records.tables.image_labels import ImageLabels
from tessera.records.tables.table import types, write_table
from tessera.stages.labels.asked import AskedFrames
from tessera.stages.labels.layouts import image_labels
from tessera.stages.labels.layouts.item import Item, given
from tessera.stages.labels.layouts.names import check_keys_occur
from tessera.stages.labels.pictures import ClassFolders, Picture, Store, is_picture, origin, split_of
from tessera.stages.labels.settings import ImageLabelSet
from tessera.stages.labels.unknown import describe_unknown
from tessera.stages.labels.walk import take_all, usable_files

READERS = {
    "folders": image_labels.read_folders,
    "tsv": image_labels.read_tables,
    "labelme": image_labels.read_flags,
    "label_studio": image_labels.read_answers,
}
FIX = "rename the labels, or say in `classes` of the set what they mean"


def import_image_labels(
    label_set: ImageLabelSet,
    blocklist: Path,
    blocklist_distance: int,
    final_folder: Path,
    labels: Path,
    pictures: Path,
    ledger: Path,
    sources: Path | None = None,
    answers: Mapping[str, str] | None = None,
) -> None:
    """Write the labels of the images of `label_set` to the table `labels` (`tables.ImageLabels`).

    Every label is a class of its own unless `classes` of the set says what it means; then, others are unknown. For what becomes
    of the images, see `sets.import_labels`; `pictures`, `final_folder`, `blocklist` and `blocklist_distance` are as there.
    `sources`: `tables.Sources`, if the images are frames of them that were asked for, see `AskedFrames`. `answers`: the labels
    or scores that people gave on the review page, by the keys of the images. An image that has a label of its own keeps it
    here.

    `ledger` gets one row per image, and one for each file or row of a table that cannot be used. An image with two labels
    fails, also if they are those of two identical files. An unknown label, or one that is not wanted, drops its image. The
    message at the end names classes with one image, and a set with a single class.

    Raises `TesseraError` if the set does not exist, cannot be opened, exceeds the limits of `core.archives` or has no labels,
    if `classes` of the set has a key that is none of its labels, or if the blocklist cannot be read.
    """
    place_of_set = f"annotations.image_labels: {label_set.name!r}"
    known = [name for name in dict.fromkeys(label_set.classes.values()) if name is not None]
    labelled: list[dict[str, Any]] = []
    unknown: dict[str, list[str]] = {}
    stated_labels: list[set[str]] = []

    def use(item: Item[list[str]], key: str, picture: Picture) -> list[Loss]:
        height, width = picture.image.shape[:2]
        stated = conflicts.get(picture.sha256) or item.labels(key, width, height)
        stated_labels.append({label.strip() for label in stated})
        value = _value(stated, label_set, known, picture.file, unknown)
        given = (asked.origin if asked else origin)(label_set, f"{IMAGE_LABELS}{label_set.name}", picture, split)
        row = {"key": key, **vars(given), "width": width, "height": height, "sha256": picture.sha256}
        row |= {"task": label_set.task or label_set.name, "origin": label_set.format, "label": None, "score": None}
        labelled.append({**row, label_set.values: value})
        return []

    pictures.mkdir()
    asked = AskedFrames(sources) if sources else None
    store = Store(pictures, final_folder, read_blocklist(blocklist), blocklist_distance)
    with open_files(label_set.path, place_of_set) as files, Ledger(ledger) as rows:
        usable = usable_files(files, label_set.name, rows)
        try:
            items = READERS[label_set.format](usable, label_set.task)
        except TesseraError as error:
            raise TesseraError(f"{place_of_set}: {str(label_set.path)!r}: {error}") from None
        split = split_of
        if label_set.format == "folders":
            class_folders = ClassFolders(file.path for file in usable if is_picture(file))
            split = class_folders.split
            tell(f"{place_of_set}: {class_folders.decision()}")
        items = with_answers(items, usable, label_set, answers or {})
        if not items:
            raise TesseraError(f"{place_of_set}: {str(label_set.path)!r} contains no labels; correct its path or its `format`")
        conflicts = _conflicts(items)
        take_all(items, usable, label_set.name, store, rows, use, lambda path: split(path) in {"val", "test"})
    if any(unknown.values()):
        tell(describe_unknown(unknown, "labels", "images", known, FIX))
    check_keys_occur(
        label_set, set().union(*stated_labels), is_complete=len(stated_labels) == len(items), setting="annotations.image_labels"
    )
    if label_set.values == "label":
        for line in class_warnings(Counter(row["label"] for row in labelled)):
            tell(f"{place_of_set}: {line}")
    write_table(pl.DataFrame(labelled, schema=types(ImageLabels)), ImageLabels, labels)


def with_answers(
    items: Sequence[Item[list[str]]], files: Sequence[File], label_set: ImageLabelSet, answers: Mapping[str, str]
) -> list[Item[list[str]]]:
    """Return `items`, in which each picture without a label of its own has that of `answers`, by its key.

    `files`: all files of the set. A picture that is in none of `items` gets one.
    """
    labelled = {item.name: item for item in items}
    answered: dict[str, Item[list[str]]] = {}
    for file in filter(is_picture, files if answers else ()):
        name = name_in_set(label_set.format, file.path)
        if answer := answers.get(key_in_set(label_set.name, name)):
            item = labelled.get(name)
            answered[name] = Item(name, partial(given, file), partial(_own_or_answer, item, answer), item.files if item else ())
    return [*(item for item in items if item.name not in answered), *answered.values()]


def _own_or_answer(item: Item[list[str]] | None, answer: str, key: str, width: int, height: int) -> list[str]:
    return item.labels(key, width, height) if item and _is_answered(item) else [answer]


def has_answers(label_set: ImageLabelSet, folder: str, answers: Mapping[str, str]) -> bool:
    """Return whether a picture in `folder`, below the top of `label_set`, has a label, in the set or among `answers`.

    For `answers`, see `import_image_labels`. Raises `TesseraError` if the set cannot be read.
    """
    with open_files(label_set.path, f"annotations.image_labels: {label_set.name!r}") as files:
        usable = [file for file in files if not file.fault]
        items = with_answers(READERS[label_set.format](usable, label_set.task), usable, label_set, answers)
        return any(_is_answered(item) for item in items if item.name.startswith(f"{folder}/"))


def _is_answered(item: Item[list[str]]) -> bool:
    try:
        return any(label.strip() for label in item.labels("", 0, 0))
    except Dropped:
        return False


def class_warnings(counts: Counter[str]) -> list[str]:
    """Return what a classifier cannot learn from classes with so many images each."""
    single = [name for name, count in sorted(counts.items()) if count == 1]
    lines = []
    if single:
        names = ", ".join(map(repr, single))
        lines.append(f"one image alone has the label {names}: it cannot be both trained on and tested; label more such images")
    if len(counts) == 1:
        ((name, count),) = counts.items()
        lines.append(f"{pluralize(count, 'images')} have the one label {name!r}: a classifier needs two classes")
    return lines


def _conflicts(items: Sequence[Item[list[str]]]) -> dict[str, list[str]]:
    """Return the labels of each picture that is stated several times with different ones, by sha256.

    Only files of equal size are read for that.
    """
    import hashlib

    sizes: dict[int, list[tuple[File, Item[list[str]]]]] = defaultdict(list)
    for item in items:
        try:
            file = item.picture()
        except Dropped:
            continue
        sizes[file.size].append((file, item))
    stated: dict[str, list[str]] = defaultdict(list)
    for same in sizes.values():
        for file, item in same if len(same) > 1 else ():
            try:
                digest = hashlib.sha256(file.read(file.size)).hexdigest()
                stated[digest] += item.labels("", 0, 0)
            except Dropped:
                continue
    return {digest: labels for digest, labels in stated.items() if len(set(labels)) > 1}


def _value(
    stated: Sequence[str], label_set: ImageLabelSet, known: Sequence[str], file: File, unknown: dict[str, list[str]]
) -> str | float:
    """Return the one label or score of the picture in `file`. Raises `Dropped` or `Failed` if there is no such one."""
    labels = list(dict.fromkeys(label.strip() for label in stated if label.strip()))
    if not labels:
        raise Dropped("unlabelled", f"{file.shown} has no label; label it, or leave it out")
    if label_set.values == "score":
        scores = {_score(label, file) for label in labels}
        if len(scores) > 1:
            raise Failed("two scores for one picture", f"{file.shown}: {', '.join(labels)}; keep one")
        return scores.pop()
    meanings = set()
    for label in labels:
        try:
            meanings.add(meaning(label, label_set.classes, known) if label_set.classes else label)
        except KeyError:
            unknown[file.shown] = [label]
            raise Dropped("unknown label", f"{file.shown}: {label!r:.40}; {FIX}") from None
    wanted = meanings - {None}
    if len(wanted) > 1:
        raise Failed("two labels for one picture", f"{file.shown}: {', '.join(map(repr, labels))}; keep one")
    if not wanted:
        raise Dropped("label that is not wanted", f"{file.shown}: {labels[0]!r:.40} is null in `classes` of the set")
    return str(wanted.pop())


def _score(text: str, file: File) -> float:
    try:
        score = float(text)
    except ValueError:
        score = float("nan")
    if not isfinite(score):
        raise Failed("score is no number", f"{file.shown}: {text!r:.40}; give it a finite number")
    return score
