"""Select the pictures that a classifier learns from, and write them as a dataset."""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from tessera.core.errors import TesseraError
from tessera.core.files import link_or_copy
from tessera.core.ledger import Ledger, Status, read_ledger
from tessera.core.log import tell
from tessera.core.messages import format_counts
from tessera.core.progress import progress
from tessera.records.decisions import Decision, write_matches
from tessera.records.eligibility import NOT_ADMITTED, refusals
from tessera.records.frame_keys import for_frames
from tessera.records.label_sets import IMAGE_LABELS, SETS
from tessera.records.tables.annotation import Annotations, Images
from tessera.records.tables.classification import Pictures, SelectedPictures
from tessera.records.tables.image_labels import ImageLabels
from tessera.records.tables.splits import SourceSplits, Splits
from tessera.records.tables.table import read_table, read_tables, types, write_table
from tessera.stages.datasets.labelled import REFUSED, divide_labelled
from tessera.stages.datasets.settings import OfDataset
from tessera.stages.datasets.splits import SplitSettings, splits_with_stated


def select_pictures(
    labels: Sequence[Path],
    imported: Sequence[Path],
    regions: tuple[Path, Path, OfDataset] | None,
    sources: Path,
    divided: Path,
    frame_decisions: Mapping[str, Decision],
    decisions: Mapping[str, Decision],
    classes: Sequence[str] | None,
    dataset: str,
    remedy: str,
    distance: int,
    settings: SplitSettings,
    selected: Path,
    ledger: Path,
    matched: Path,
) -> None:
    """Write the pictures that feed the classifier `dataset` to `selected` (`tables.SelectedPictures`), sorted by key.

    `labels`: files of `tables.ImageLabels`. `imported`: ledgers of the sets among them. `regions`: `tables.Images` and
    `tables.Annotations` of a dataset of regions whose images feed it too, and what they mean. `sources`:
    `tables.Sources`, and `divided`: `tables.SourceSplits`. `frame_decisions`: of people, on frames, by their keys. `decisions`:
    on the pictures of this classifier, by their keys.
    `classes`: its classes; None if it finds a score. `remedy`: advice for the message if there are no pictures.

    A picture is dropped if its source is not admitted or is not for `dataset`, if a decision says so, or if its label is none
    of `classes`. A decision may give it another label. Pictures of sets of labelled images are divided into splits here, see
    `divide_labelled`: no other dataset has them. Those that look like a picture in another split are dropped.
    `distance`: bits in which perceptual hashes of pictures that look alike differ at most. `ledger` gets one row per picture,
    and one row for each of `decisions` without a picture. A decision to drop a picture of a set that has no label is no
    mistake: nobody could say what it shows.

    Raises `TesseraError` if two pictures have the same key, or if no picture is left.
    """
    columns = ["key", "source", "split", "path", "label", "score", "phash"]
    images = read_tables(list(labels), ImageLabels).select(columns)
    if regions is not None:
        labelled_images, annotations, meaning = regions
        has = pl.col("key").is_in(read_table(annotations, Annotations)["key"].implode())
        label = pl.when(has).then(pl.lit(meaning.present)).otherwise(pl.lit(meaning.absent))
        of_regions = read_table(labelled_images, Images).with_columns(label=label, score=pl.lit(None, pl.Float64))
        images = pl.concat([images, of_regions.select(columns)])
    images = images.sort("key")
    twice = images.filter(pl.col("key").is_duplicated())
    if not twice.is_empty():
        first, second = sorted(twice.filter(key=twice["key"][0])["path"])[:2]
        raise TesseraError(f"two pictures have the key {twice['key'][0]!r}: {first!r} and {second!r}; rename one of them")
    refused = refusals(sources, [dataset])
    refused |= {source: ("", "") for source in images["source"].unique() if source.startswith(SETS)}
    frame_decisions = for_frames(frame_decisions, images["key"].to_list())
    images, relabelled = _relabel(images, decisions, classes)
    verdicts: dict[str, tuple[Status, str, str]] = {}
    for key, source, label, score in images.select("key", "source", "label", "score").iter_rows():
        reason, detail = refused.get(source, NOT_ADMITTED)
        drop = next((each[key] for each in (decisions, frame_decisions) if key in each and each[key].decision == "drop"), None)
        if not reason and drop:
            reason, detail = "dropped by decision", str(drop)
        elif not reason and (score if classes is None else label) is None:
            reason, detail = "no score" if classes is None else "no class", "" if label is None else label
        elif not reason and classes is not None and label not in classes:
            reason, detail = "unknown class", label
        verdicts[key] = ("dropped", reason, detail) if reason else ("ok", *relabelled.get(key, ("", "")))
    chosen = images.filter(pl.col("key").is_in([key for key, (status, *_) in verdicts.items() if status == "ok"]))
    chosen, alike = _with_splits(chosen, divided, distance, settings)
    verdicts |= {key: ("dropped", REFUSED, detail) for key, detail in alike.items()}
    lost: dict[str, str] = {}
    with Ledger(ledger) as writer:
        for key, verdict in verdicts.items():
            writer.row(key, *verdict)
        unlabelled = {row["key"] for path in imported for row in read_ledger(path)}
        for key in sorted(decisions.keys() - verdicts.keys()):
            if key in unlabelled and decisions[key].decision == "drop":
                writer.row(key, "dropped", "dropped by decision", str(decisions[key]))
                continue
            tell(f"decision on {key!r}: there is no such picture for {dataset}; correct its key, or remove the decision")
            lost[key] = "there is no such picture"
    write_matches(matched, decisions, {key: key for key in decisions}, lost)
    unknown = Counter(detail for _, reason, detail in verdicts.values() if reason == "unknown class")
    if unknown:
        tell(f"pictures of unknown classes are left out: {format_counts(unknown)}; the classes are {', '.join(classes or [])}")
    if chosen.is_empty():
        reasons = format_counts(Counter(reason for _, reason, _ in verdicts.values())) or "there are none"
        raise TesseraError(f"the classifier {dataset!r} has no pictures ({reasons}). {remedy}")
    other = "label" if classes is None else "score"
    write_table(chosen.with_columns(**{other: pl.lit(None, types(SelectedPictures)[other])}), SelectedPictures, selected)


def _relabel(
    images: pl.DataFrame, decisions: Mapping[str, Decision], classes: Sequence[str] | None
) -> tuple[pl.DataFrame, dict[str, tuple[str, str]]]:
    """Return `images` with the labels or scores that people decided on, and what the ledger says of each picture with one."""
    column = "score" if classes is None else "label"
    before = dict(images.select("key", column).iter_rows())
    wanted = {key: each for key, each in decisions.items() if each.decision == "relabel" and key in before}
    remarks = {key: ("relabelled by decision", f"was {before[key]}; {each}") for key, each in wanted.items()}
    labels = {key: each.label for key, each in wanted.items()}
    value = pl.col("key").replace_strict(labels, default=None, return_dtype=pl.String).cast(images.schema[column])
    return images.with_columns(pl.coalesce(value, column).alias(column)), remarks


def _with_splits(
    chosen: pl.DataFrame, divided: Path, distance: int, settings: SplitSettings
) -> tuple[pl.DataFrame, dict[str, str]]:
    """Return the pictures that stay of `chosen`, with their groups and the splits of labelled ones, and why the others do not.

    For `divided` and `distance`, see `select_pictures`.
    """
    sources = read_table(divided, SourceSplits)
    groups = dict(sources.select("source", "group").iter_rows())
    is_labelled = pl.col("source").str.starts_with(IMAGE_LABELS)
    labelled, others = chosen.filter(is_labelled), chosen.filter(~is_labelled)
    split_of = splits_with_stated(dict(others.select("source", "split").iter_rows()), divided, settings)
    known = others.select("source", "phash", split=pl.col("source").replace_strict(split_of, return_dtype=pl.String))
    covered = {(split_of[source], label) for source, label in others.select("source", "label").iter_rows()}
    division = divide_labelled(labelled, known, groups, covered, distance, settings)
    chosen = chosen.filter(~pl.col("key").is_in(list(division.refused))).with_columns(
        split=pl.col("source").replace_strict(division.splits, default=pl.col("split"), return_dtype=pl.String),
        group=pl.col("source").replace_strict(groups | division.groups, default=pl.col("source"), return_dtype=pl.String),
    )
    return chosen, division.refused


def write_picture_dataset(selected: Path, splits: Path, images: Path, table: Path) -> None:
    """Write a dataset of pictures: `images/SPLIT/KEY.EXT`, and what they show as `table` (`tables.Pictures`), sorted by key.

    `selected`: `tables.SelectedPictures`. `splits`: `tables.Splits` of the samples. Pictures of people are copied, so that a
    later change of the file cannot change the dataset; those that Tessera made are linked.

    Raises `TesseraError` if a picture is missing.
    """
    frame = read_table(selected, SelectedPictures).sort("key")
    split_of = dict(read_table(splits, Splits).select("key", "split").iter_rows())
    for split in ("train", "val", "test"):
        (images / split).mkdir(parents=True)
    for row in progress(frame.iter_rows(named=True), frame.height, "pictures"):
        path = Path(row["path"])
        target = images / split_of[row["key"]] / f"{row['key']}{path.suffix.lower()}"
        try:
            # The keys of pictures in sets have a `+`, which is no part of a name that Tessera makes of a source.
            (shutil.copyfile if "+" in row["key"] else link_or_copy)(path, target)
        except FileNotFoundError:
            raise TesseraError(
                f"{path}: the picture {row['key']!r} of {row['source']!r} is missing; put it back, or remove its label"
            ) from None
    pictures = frame.select(
        "key",
        "source",
        "group",
        "label",
        "score",
        split=pl.col("key").replace_strict(split_of, return_dtype=pl.String),
        weight=pl.lit(1.0),
    )
    write_table(pictures, Pictures, table)
