"""Select the samples of image datasets, and write them in the formats that trainers read."""

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import polars as pl
import yaml

from tessera.core.errors import Dropped, TesseraError
from tessera.core.files import link_or_copy
from tessera.core.ledger import Ledger, described, read_ledger, summarise
from tessera.core.log import tell
from tessera.core.messages import pluralize
from tessera.core.progress import progress
from tessera.core.seeds import fraction
from tessera.records.annotation.annotation_tables import images_of, read_annotations
from tessera.records.annotation.formats.coco import write_coco
from tessera.records.annotation.formats.yolo import Task, unwritable, write_yolo
from tessera.records.annotation.model import Loss, check_complete
from tessera.records.decisions import Decision
from tessera.records.eligibility import NOT_ADMITTED, refusals
from tessera.records.frame_keys import for_frames
from tessera.records.label_sets import SETS
from tessera.records.limits import IGNORED, ScoreLimit, ignored_limits, values_of
from tessera.records.tables.annotation import Annotations, Images
from tessera.records.tables.footage import Replaced
from tessera.records.tables.splits import Splits, split_of_sources
from tessera.records.tables.table import read_columns, read_table, read_tables, write_table


def select_samples(
    images: Sequence[Path],
    annotations: Sequence[Path],
    duplicates: Sequence[Path],
    scored: Mapping[str, Sequence[Path]],
    frame_filters: Mapping[str, ScoreLimit],
    metrics: Sequence[Path],
    sources: Path,
    decisions: Mapping[str, Decision],
    splits: Path | None,
    backgrounds: float,
    classes: Collection[str],
    task: Task,
    dataset: str,
    remedy: str,
    selected: Path,
    regions: Path,
    ledger: Path,
) -> None:
    """Write the images that feed `dataset` to the table `selected`, and their annotations to the table `regions`.

    `images`, `annotations`: tables of all labelled images (`tables.Images`, `tables.Annotations`). `duplicates`: files with the
    columns of `tables.Replaced`, none to keep images that look the same. `frame_filters`: the limits of what classifiers see in
    frames, by the name of the classifier. `scored`: the files of `tables.Scored` of each. `metrics`: see `ignored_limits`.
    `sources`: `tables.Sources`. `decisions`: decisions of people, by keys of frames, see `for_frames`. `splits`:
    `tables.SourceSplits`, or None if `backgrounds` is 1. `backgrounds`: the largest fraction of the images of each split that
    may be without regions, as negative examples. `classes`, `task`: those of the label files. `remedy`: advice for the message
    if the dataset would be empty. The output is sorted by key, whatever the order of the tables.

    An image is dropped if its source is not admitted or is not for `dataset`, if label files cannot state one of its regions
    (`yolo.unwritable`), if a decision says so, if it is beyond a limit of `frame_filters`, if it is a near-duplicate of an
    image that is kept, or if it is a background beyond the limit. A decision to keep an image overrides the last three checks
    alone. An image that is no sampled frame has no score, and is beyond no limit. `ledger` gets one row per image.

    Raises `TesseraError` if two images have the same key, if a classifier has no such class, or if no image or no region is
    left.
    """
    pictures = read_tables(list(images), Images).sort("key")
    decisions = for_frames(decisions, pictures["key"].to_list())
    twice = pictures.filter(pl.col("key").is_duplicated())
    if not twice.is_empty():
        first, second = sorted(twice.filter(pl.col("key") == twice["key"][0])["path"])[:2]
        raise TesseraError(f"two images have the key {twice['key'][0]!r}: {first!r} and {second!r}; rename one of them")
    refused = refusals(sources, [dataset])
    refused |= {source: ("", "") for source in pictures["source"].unique() if source.startswith(SETS)}
    origins = pictures.select("key", "source").iter_rows()
    left_out = {key: reason for key, source in origins if (reason := refused.get(source, NOT_ADMITTED)[0])}
    shapes = read_tables(list(annotations), Annotations).sort("key", "number")
    details: dict[str, str] = {}
    for image in images_of(pictures, shapes):
        try:
            check_complete(unwritable(image, classes, task), image.annotations, f"image {image.key!r}")
        except Dropped as fault:
            if image.key not in left_out:
                left_out[image.key], details[image.key] = fault.reason, fault.detail
    words = {key: decisions[key] for key in pictures["key"] if key in decisions and key not in left_out}
    details |= {key: str(word) for key, word in words.items()}
    left_out |= {key: "dropped by decision" for key, word in words.items() if word.decision == "drop"}
    ignored = ignored_limits(frame_filters, metrics)
    passed: dict[str, str] = {}
    for name, limit in frame_filters.items():
        values = values_of(scored[name], name, limit.label)
        for key in (key for key in pictures["key"] if key in values and key not in left_out and key not in words):
            reason, detail = limit.complaint(name, values[key])
            if reason and name in ignored:
                passed.setdefault(key, f"{IGNORED} {name}")
            elif reason:
                left_out[key], details[key] = reason, detail
    representative = {key: key for key in pictures["key"] if key not in left_out}
    for table in duplicates:
        original_of = dict(read_columns(table, Replaced).iter_rows())
        representative |= keep_one_of_each([key for key, other in representative.items() if key == other], original_of)
    representative |= {key: key for key in words.keys() & representative.keys()}
    chosen = pictures.filter(pl.col("key").is_in([key for key, other in representative.items() if key == other]))
    surplus: set[str] = set()
    if splits is not None:
        split_of = split_of_sources(splits)
        splits_of_images = {key: split_of[source] for key, source in chosen.select("key", "source").iter_rows()}
        surplus = surplus_backgrounds(splits_of_images, set(shapes["key"]), words.keys(), backgrounds)
    with Ledger(ledger) as rows:
        for key in pictures["key"]:
            detail = details.get(key, "")
            if key in left_out:
                rows.row(key, "dropped", left_out[key], detail)
            elif key in words:
                rows.row(key, "ok", "kept by decision", detail)
            elif representative[key] != key:
                rows.row(key, "dropped", "near-duplicate of a sample", representative[key])
            elif key in surplus:
                rows.row(
                    key, "dropped", "too many backgrounds", f"at most the fraction {backgrounds:g} of the images of a split"
                )
            else:
                rows.row(key, "ok", passed.get(key, ""))
    tell(described("selection", {**summarise(read_ledger(ledger)), "unit": "images"}))
    pictures = chosen.filter(~pl.col("key").is_in(list(surplus)))
    shapes = shapes.filter(pl.col("key").is_in(pictures["key"].implode()))
    if pictures.is_empty() or shapes.is_empty():
        raise TesseraError(
            f"the dataset {dataset!r} has {pluralize(pictures.height, 'images')} and {pluralize(shapes.height, 'regions')}; of"
            f" {pluralize(len(representative) + len(left_out), 'images')} made or labelled for it, {len(left_out)} may not feed"
            f" it. {remedy}, or let sources feed it (column `use` of the manifest)"
        )
    write_table(pictures, Images, selected)
    write_table(shapes, Annotations, regions)


def keep_one_of_each(keys: Sequence[str], original_of: Mapping[str, str]) -> dict[str, str]:
    """Return, for each of `keys`, the key of the image that represents it; an image that is kept represents itself.

    `original_of`: for each near-duplicate, the key of the image that it resembles. If that image is not among `keys`, the first
    of its near-duplicates in alphabetical order is kept, so that each group of near-duplicates keeps one image.
    """
    representative: dict[str, str] = {}
    for key in sorted(keys, key=lambda key: (key in original_of, key)):
        representative.setdefault(original_of.get(key, key), key)
    return {key: representative[original_of.get(key, key)] for key in keys}


def surplus_backgrounds(
    split_of: Mapping[str, str], with_regions: Collection[str], wanted: Collection[str], limit: float
) -> set[str]:
    """Return the images without regions to leave out, so that at most the fraction `limit` of each split has none.

    `split_of`: the split of each image, by its key. `with_regions`, `wanted`: keys of images with regions, and of images that
    are never left out. A hash of the key decides which images are left out, so that more images change the choice little.
    """
    surplus: set[str] = set()
    share = Fraction(str(limit))  # exact, where a product of floats may be just below a whole number
    for split in set(split_of.values()):
        keys = [key for key, image_split in split_of.items() if image_split == split]
        empty = sorted(set(keys) - set(with_regions), key=lambda key: (key not in wanted, fraction("backgrounds", key)))
        most = int(share * (len(keys) - len(empty)) / (1 - share))
        surplus.update(empty[most:])
    return surplus - set(wanted)


def write_yolo_dataset(
    images: Path,
    annotations: Path,
    splits: Path,
    made: Sequence[Path],
    classes: Sequence[str],
    task: Task,
    pictures: Path,
    labels: Path,
    description: Path,
    ledger: Path,
) -> None:
    """Write a dataset for ultralytics: `pictures/SPLIT/KEY.EXT`, `labels/SPLIT/KEY.txt` and the YAML file `description`.

    `images`, `annotations`, `splits`: the tables of the samples. `classes`: the class names in the order of their numbers.
    Images in the folders `made`, which are Tessera's own, are linked to save space. Others are copied, so that a later change
    of the file cannot change the dataset. `ledger` gets one row per region, which is one object. The reason of a row names what
    the format could not store of it.

    Raises `TesseraError` if an image is missing, or if a region cannot be written: `select_samples` leaves out such images.
    """
    origins = {key: rest for key, *rest in read_table(images, Images).select("key", "source", "path").iter_rows()}
    split_of = dict(read_table(splits, Splits).select("key", "split").iter_rows())
    used = [split for split in ("train", "val", "test") if split in split_of.values()]
    for folder in (pictures, labels):
        for split in used:
            (folder / split).mkdir(parents=True)
    with Ledger(ledger) as rows:
        for image in progress(read_annotations(annotations, images), len(origins), "images"):
            source, path = origins[image.key]
            split = split_of[image.key]
            is_ours = any(Path(path).is_relative_to(folder) for folder in made)
            _place(Path(path), pictures / split / f"{image.key}{Path(path).suffix.lower()}", source, image.key, is_ours=is_ours)
            losses = {loss.key: loss for loss in write_yolo(image, list(classes), task, labels / split / f"{image.key}.txt")}
            for number in range(len(image.annotations)):
                loss = losses.get(f"{image.key}#{number}", Loss(f"{image.key}#{number}", "", kept=True))
                if not loss.kept:
                    raise TesseraError(f"image {image.key!r} of {source!r}: {loss.key}: {loss.reason} {loss.detail}; run again")
                rows.row(loss.key, "ok", loss.reason, loss.detail)
    # Without `path`, ultralytics takes paths relative to this file, so that the dataset can be moved.
    layout = {"names": dict(enumerate(classes)), **{split: f"images/{split}" for split in used}}
    description.write_text(yaml.safe_dump(layout, sort_keys=False, allow_unicode=True), encoding="utf-8")


def write_coco_dataset(images: Path, annotations: Path, splits: Path, classes: Sequence[str], coco: Path) -> None:
    """Write all samples to one COCO file `coco`; `file_name` is relative to the folder `images` beside it.

    `images`, `annotations`, `splits`: the tables of the samples. `classes`: the class names; the first has the category id 1.
    """
    suffixes = {key: Path(path).suffix.lower() for key, path in read_table(images, Images).select("key", "path").iter_rows()}
    split_of = dict(read_table(splits, Splits).select("key", "split").iter_rows())
    named = (
        replace(image, key=f"{split_of[image.key]}/{image.key}{suffixes[image.key]}")
        for image in read_annotations(annotations, images)
    )
    write_coco(named, coco, dict(enumerate(classes, 1)))


def _place(path: Path, target: Path, source: str, key: str, *, is_ours: bool) -> None:
    """Link the image `path` to `target` or, unless `is_ours`, copy it. Raises `TesseraError` if it is missing."""
    try:
        give = link_or_copy if is_ours else shutil.copyfile
        give(path, target)
    except FileNotFoundError:
        fix = f"delete the folder {path.parent}" if is_ours else "put it back, or remove its label file,"
        raise TesseraError(f"{path}: the image {key!r} of {source!r} is missing; {fix} and run again") from None
