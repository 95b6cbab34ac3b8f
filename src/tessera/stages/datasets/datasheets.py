"""Datasheets: the content and origin of a dataset, for its users and for the report."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tessera.core.ledger import read_ledger, summarise
from tessera.core.log import tell
from tessera.core.markdown import FOR_ADULTS, front_matter, plain, table
from tessera.core.messages import truncate
from tessera.core.provenance import digest
from tessera.imaging.masks import decode_rle
from tessera.imaging.polygons import area
from tessera.learning.weights.known import describe_weights
from tessera.learning.weights.resolve import declared_weights
from tessera.records.label_sets import set_of
from tessera.records.tables.annotation import Annotations, Images
from tessera.records.tables.classification import Pictures
from tessera.records.tables.clips import Clips, Scores, measurements
from tessera.records.tables.footage import Sources
from tessera.records.tables.labels import LabelCounts
from tessera.records.tables.mosaics import Mosaics
from tessera.records.tables.splits import Splits
from tessera.records.tables.table import read_table, read_tables
from tessera.stages.datasets.mosaics import describe_mosaics, render_mosaics

# Edges of the histograms. Each bin runs from one edge up to the next; the last bin has no upper edge.
AREA_PIXELS = (0, 16**2, 32**2, 64**2, 96**2, 128**2, 256**2, 512**2)
AREA_FRACTION = (0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
SECONDS = (0, 1, 2, 3, 4, 6, 8)
SIDES = (0, 64, 128, 256, 384, 512, 1024)  # pixels
SOURCES_SHOWN = 5  # in the message about what a split lacks
RIGHTS = ("content", "rights", "consent")  # columns of the manifest
# Rights as the manifest may state them, as letters and digits alone, and what hubs of datasets call them.
LICENCES = {
    **dict.fromkeys(("cc0", "cc010"), "cc0-1.0"),
    **{
        f"ccby{''.join(terms)}40": "-".join(["cc-by", *terms, "4.0"])
        for terms in ((), ("sa",), ("nd",), ("nc",), ("nc", "sa"), ("nc", "nd"))
    },
}
SAMPLES = (1000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")  # below, and its name there


def describe_dataset(
    dataset: str,
    images: pl.DataFrame,
    annotations: pl.DataFrame,
    splits: pl.DataFrame,
    sources: pl.DataFrame,
    sets: Mapping[str, Mapping[str, Any]],
    selection: list[dict[str, Any]],
    writing: list[dict[str, Any]],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the datasheet of `dataset` as plain JSON types; equal data gives an equal datasheet.

    `images`, `annotations`, `splits`, `sources`: data frames of `tables.Images`, `Annotations`, `Splits`, `Sources`. `sets`:
    the `content`, `rights` and `consent` of each folder of labels and each set of watermarks, by the prefix of the sources of
    its images. `selection`, `writing`: rows of the ledgers of `select_samples` and `write_yolo_dataset`. `settings`: the
    settings that the dataset depends on. Areas of regions are given in pixels of the image and as a fraction of its area.
    """
    images = images.drop("split").join(splits.select("key", "split"), on="key")
    regions = annotations.join(images.select("key", "source", "split", "width", "height"), on="key")
    regions = regions.with_columns(
        area=pl.Series([_area(region) for region in regions.iter_rows(named=True)], dtype=pl.Float64)
    )
    return {
        "dataset": dataset,
        "splits": {split: _split(split, images, regions) for split in ("train", "val", "test")},
        "missing": missing_from_splits(
            images.select("key", "split", source=_origin(images, sets)).join(
                regions.select("key", "label").unique(), on="key", how="left"
            )
        ),
        "image_sizes": images.group_by("width", "height")
        .agg(images=pl.len())
        .sort(["images", "width", "height"], descending=True)
        .to_dicts(),
        "regions": {
            "area_pixels": _histogram(regions["area"], AREA_PIXELS, "regions"),
            "area_fraction": _histogram(regions["area"] / (regions["width"] * regions["height"]), AREA_FRACTION, "regions"),
            "polygons": regions["polygons"].count(),
            "masks": regions["rle"].count(),
            "boxes": regions.filter(pl.col("polygons").is_null() & pl.col("rle").is_null()).height,
            "of_several_parts": regions.filter(pl.col("polygons").list.len() > 1).height,
            "with_holes": regions.filter(pl.col("polygons").list.eval(pl.element().list.len() > 1).list.any()).height,
            "crowds": int(regions["crowd"].sum()),
        },
        "origins": _origins(images, regions, sources, sets),
        "selection": summarise(selection),
        "writing": summarise(writing),
        **_made_by(settings),
    }


def missing_from_splits(samples: pl.DataFrame) -> list[str]:
    """Return what is missing from the splits train and val, and how to fix it.

    `samples`: the `source`, `split` and `label` of each sample, a row for each of its labels; null for one that shows nothing.
    A split without any sample is not wanted.
    """
    complaints = []
    labels = samples["label"].unique().sort(nulls_last=True).to_list()
    splits = [split for split in ("train", "val") if split in samples["split"]]
    for label, split in ((label, split) for label in labels for split in splits):
        with_label = samples.filter(pl.col("label").eq_missing(label))
        if split in with_label["split"]:
            continue
        what = "sample without a region" if label is None else f"sample of {label!r}"
        effect = "nothing is learned from such samples" if split == "train" else "nothing is measured on such samples"
        sources = with_label["source"].unique().sort().to_list()
        named = ", ".join(truncate(list(map(repr, sources)), SOURCES_SHOWN))
        fix = (
            f"set `split: {split}` for some of their sources, in the manifest or in the settings of a set ({named})"
            if len(sources) > 1
            else f"all are of {named}: add such samples of another source, with `split: {split}`"
        )
        complaints.append(f"no {what} is in the split {split!r}, so that {effect}; {fix}")
    return complaints


def _render_missing(sheet: Mapping[str, Any]) -> list[str]:
    return ["## Missing\n", *(f"- {plain(line)}" for line in sheet["missing"]), ""] if sheet["missing"] else []


def _made_by(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the weights that `settings` declare, if there are any, and a digest of `settings`."""
    weights = [{"setting": setting, **describe_weights(each.model_dump())} for setting, each in declared_weights(settings)]
    return {**({"weights": weights} if weights else {}), "settings": digest(settings)}


def _render_made_by(sheet: Mapping[str, Any]) -> Iterator[str]:
    if "weights" in sheet:
        yield table(
            ["weights that were used", "source", "sha256", "licence"],
            [[row["setting"], row["source"], row["sha256"], row.get("licence", "not known")] for row in sheet["weights"]],
        )
    yield f"sha256 of the settings that made it: `{sheet['settings']}`\n"


def _area(region: Mapping[str, Any]) -> float:
    """Return the area of one region in pixels."""
    if region["polygons"] is not None:
        rings = [[area(np.array(ring).reshape(-1, 2)) for ring in part] for part in region["polygons"]]
        return sum(outer - sum(holes) for outer, *holes in rings)
    if region["rle"] is not None:
        return float(np.count_nonzero(decode_rle(region["rle"], region["height"], region["width"])))
    return float((region["x1"] - region["x0"]) * (region["y1"] - region["y0"]))


def _split(split: str, images: pl.DataFrame, regions: pl.DataFrame) -> dict[str, Any]:
    in_split = images.filter(pl.col("split") == split)
    inside = regions.filter(pl.col("split") == split)
    return {
        "images": in_split.height,
        "without_regions": in_split.height - inside["key"].n_unique(),
        "sources": in_split["source"].n_unique(),
        "regions": dict(inside.group_by("label").len().sort("label").iter_rows()),
    }


def _histogram(values: pl.Series, edges: Sequence[float], unit: str) -> list[dict[str, Any]]:
    counts = np.histogram(values.to_numpy(), bins=[*edges, np.inf])[0].tolist()
    return [{"from": low, "to": high, unit: count} for low, high, count in zip(edges, [*edges[1:], None], counts, strict=True)]


def _origins(
    images: pl.DataFrame, regions: pl.DataFrame, sources: pl.DataFrame, sets: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the counts and the rights of each source in each split; images of one set count as one source."""
    origin = _origin(images, sets)
    counts = regions.group_by(origin, "split").agg(regions=pl.len())
    origins = images.group_by(origin, "split").agg(images=pl.len()).join(counts, on=["source", "split"], how="left")
    origins = origins.select("source", "images", "split", pl.col("regions").fill_null(0))
    return _with_rights(origins, sources, sets)


def _origin(samples: pl.DataFrame, sets: Mapping[str, Any]) -> pl.Expr:
    """Return the source of each of `samples` or, where it is a part of a set, that set."""
    names = {source: set_of(source, sets) for source in samples["source"].unique()}
    return pl.col("source").replace_strict(names, return_dtype=pl.String)


def _with_rights(origins: pl.DataFrame, sources: pl.DataFrame, sets: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of `origins`, by source and split, each with the content, the rights and the consent of its source."""
    stated = {row["source"]: row for row in sources.iter_rows(named=True)} | dict(sets)
    return [
        {**row, **{name: stated[row["source"]][name] for name in RIGHTS}}
        for row in origins.sort("source", "split").iter_rows(named=True)
    ]


def render(sheet: Mapping[str, Any]) -> str:
    """Return a datasheet as Markdown."""
    splits: Mapping[str, Any] = sheet["splits"]
    labels = sorted({label for split in splits.values() for label in split["regions"]})
    holds = [
        ["images", *(split["images"] for split in splits.values())],
        ["images without a region", *(split["without_regions"] for split in splits.values())],
        ["sources", *(split["sources"] for split in splits.values())],
        *([f"regions of {label}", *(split["regions"].get(label, 0) for split in splits.values())] for label in labels),
    ]
    regions = sheet["regions"]
    kinds = [[name.replace("_", " "), regions[name]] for name in regions if not name.startswith("area_")]
    pixels = [[_span(row, "{:g}² px", lambda edge: edge**0.5), row["regions"]] for row in regions["area_pixels"]]
    fractions = [[_span(row, "{:g} %", lambda edge: edge * 100), row["regions"]] for row in regions["area_fraction"]]
    sizes = [[f"{row['width']} x {row['height']}", row["images"]] for row in sheet["image_sizes"]]
    selection, writing = sheet["selection"], sheet["writing"]
    left_out = [
        ["images with labels", selection["in"]],
        *([f"left out: {reason}", count] for reason, count in selection["dropped"].items()),
        ["images in the dataset", selection["ok"]],
        ["regions in these images", writing["in"]],
        *([f"left out: {reason}", count] for reason, count in writing["dropped"].items()),
        *([f"kept in part: {reason}", count] for reason, count in writing["partly"].items()),
        ["regions in the dataset", writing["ok"]],
    ]
    return "\n".join(
        [
            f"# Dataset {plain(sheet['dataset'])}\n",
            "## Content\n",
            table(["", *splits], holds),
            *_render_missing(sheet),
            "## From labelled images to samples\n",
            table(["", "count"], left_out),
            "## Origins\n",
            _columns(sheet["origins"], "source", "split", "images", "regions", *RIGHTS),
            "## Sizes of images\n",
            table(["width x height, pixels", "images"], sizes),
            "## Areas of regions\n",
            "In pixels of the image:\n",
            table(["area", "regions"], pixels),
            "As a fraction of the image:\n",
            table(["area", "regions"], fractions),
            "## Shapes of regions\n",
            table(["", "regions"], kinds),
            *(render_mosaics(sheet["mosaics"]) if "mosaics" in sheet else ()),
            *(_render_labels(sheet["labels"]) if "labels" in sheet else ()),
            "## Settings\n",
            *_render_made_by(sheet),
        ]
    )


def _render_labels(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what the labels of sets mean, as parts of a datasheet. `rows`: of `tables.LabelCounts`."""
    labels = [
        [
            row["set"],
            "" if row["number"] is None else row["number"],
            row["name"],
            "unknown" if row["label"] is None else row["label"] or "not wanted",
            *(row[name] for name in ("objects", "images", "left_out")),
        ]
        for row in rows
        if row["kind"] == "label"
    ]
    others = [[row["set"], f"{row['kind']}: {row['name']}", row["images"]] for row in rows if row["kind"] != "label"]
    return [
        "## Labels of sets\n",
        "What each label of a set means here, before near-duplicates and others are left out:\n",
        table(["set", "number", "name", "class here", "objects", "images", "images left out"], labels),
        "Images without regions, and those that were left out when the set was read:\n",
        table(["set", "", "images"], others),
    ]


def _columns(rows: Sequence[Mapping[str, Any]], *names: str) -> str:
    """Return the columns `names` of `rows` as a table in Markdown."""
    return table(names, [[row[name] for name in names] for row in rows])


def _span(row: Mapping[str, Any], form: str, scale: Callable[[float], float]) -> str:
    low = form.format(scale(row["from"]))
    return f"{low} and more" if row["to"] is None else f"{low} to {form.format(scale(row['to']))}"


def write_datasheet(
    dataset: str,
    images: Path,
    annotations: Path,
    splits: Path,
    sources: Path,
    selection: Path,
    writing: Path,
    mosaics: Sequence[Path],
    labels: Sequence[Path],
    sets: Mapping[str, Mapping[str, Any]],
    settings: Mapping[str, Any],
    data: Path,
    text: Path,
) -> None:
    """Write the datasheet of `dataset` as JSON to `data` and as Markdown to `text`. See `describe_dataset`.

    `mosaics`: files of `tables.Mosaics`, which are counted; none if no mosaics are drawn on the samples of the dataset.
    `labels`: files of `tables.LabelCounts` of the sets that feed it, which are shown.
    """
    divided = read_table(splits, Splits)
    sheet = describe_dataset(
        dataset,
        read_table(images, Images),
        read_table(annotations, Annotations),
        divided,
        read_table(sources, Sources),
        sets,
        read_ledger(selection),
        read_ledger(writing),
        settings,
    )
    if mosaics:
        sheet["mosaics"] = describe_mosaics(read_tables(list(mosaics), Mosaics), divided)
    if labels:
        sheet["labels"] = read_tables(list(labels), LabelCounts).to_dicts()
    drawn = sheet["regions"]["polygons"] + sheet["regions"]["masks"]
    _write(sheet, ["object-detection", *(["image-segmentation"] if drawn else [])], render(sheet), data, text)


def describe_clips(
    dataset: str,
    clips: pl.DataFrame,
    scores: pl.DataFrame,
    splits: pl.DataFrame,
    sources: pl.DataFrame,
    filtering: list[dict[str, Any]],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the datasheet of the clip dataset `dataset` as plain JSON types; equal data gives an equal datasheet.

    `clips`, `scores`, `splits`, `sources`: data frames of `tables.Clips`, `Scores`, `Splits`, `Sources`. `filtering`: rows of
    the ledger of `filter_clips`. `settings`: the settings that the clips depend on. Durations are in seconds. Sides are the
    longer sides of the clips, in pixels. Each score is given by its minimum, median and maximum.
    """
    clips = clips.drop("split").join(splits.select("key", "split"), on="key")
    clips = clips.with_columns(seconds=pl.col("frames") / pl.col("rate"), side=pl.max_horizontal("width", "height"))
    counts = pl.len().alias("clips"), pl.col("frames").sum(), pl.col("seconds").sum().round(3)
    parts = {split: clips.filter(split=split) for split in ("train", "val", "test")}
    measured = {name: scores[name].drop_nulls() for name in measurements()}
    return {
        "dataset": dataset,
        "splits": {
            split: {"sources": part["source"].n_unique(), **part.select(*counts).row(0, named=True)}
            for split, part in parts.items()
        },
        "labels": clips.group_by("label", "split").agg(*counts).sort("label", "split").to_dicts(),
        "seconds": _histogram(clips["seconds"], SECONDS, "clips"),
        "sides": _histogram(clips["side"], SIDES, "clips"),
        "measured": {
            name: {"clips": len(values), "least": values.min(), "median": values.median(), "largest": values.max()}
            for name, values in measured.items()
            if len(values)
        },
        "detectors": sorted(clips["detector"].unique()),
        "origins": _with_rights(clips.group_by("source", "split").agg(*counts), sources, {}),
        "filtering": summarise(filtering),
        **_made_by(settings),
    }


def render_clips(sheet: Mapping[str, Any]) -> str:
    """Return the datasheet of a clip dataset as Markdown."""
    splits: Mapping[str, Any] = sheet["splits"]
    filtering = sheet["filtering"]
    measured = [
        [name, row["clips"], *(f"{row[value]:.4g}" for value in ("least", "median", "largest"))]
        for name, row in sheet["measured"].items()
    ]
    return "\n".join(
        [
            f"# Dataset {plain(sheet['dataset'])}\n",
            "## Content\n",
            table(["", *splits], [[name, *(part[name] for part in splits.values())] for name in splits["train"]]),
            "## Labels\n",
            _columns(sheet["labels"], "label", "split", "clips", "frames", "seconds"),
            "## Durations\n",
            table(["duration", "clips"], [[_span(row, "{:g} s", float), row["clips"]] for row in sheet["seconds"]]),
            "## Sizes\n",
            table(["longer side", "clips"], [[_span(row, "{:g} px", float), row["clips"]] for row in sheet["sides"]]),
            "## Scores\n",
            table(["", "clips", "minimum", "median", "maximum"], measured),
            "## From cut clips to samples\n",
            table(
                ["", "clips"],
                [
                    ["clips that were cut", filtering["in"]],
                    *([f"left out: {reason}", count] for reason, count in filtering["dropped"].items()),
                    *([f"failed: {reason}", count] for reason, count in filtering["failed"].items()),
                    ["clips in the dataset", filtering["ok"]],
                    *([f"of these: {reason}", count] for reason, count in filtering["partly"].items()),
                ],
            ),
            "## Origins\n",
            _columns(sheet["origins"], "source", "split", "clips", "frames", "seconds", *RIGHTS),
            "## Detector and settings\n",
            f"sha256 of the weights of the detector: {', '.join(f'`{each}`' for each in sheet['detectors'])}\n",
            *_render_made_by(sheet),
        ]
    )


def write_clip_datasheet(
    dataset: str,
    clips: Path,
    scores: Path,
    splits: Path,
    sources: Path,
    filtering: Path,
    settings: Mapping[str, Any],
    data: Path,
    text: Path,
) -> None:
    """Write the datasheet of the clip dataset `dataset` as JSON to `data` and as Markdown to `text`. See `describe_clips`."""
    sheet = describe_clips(
        dataset,
        read_table(clips, Clips),
        read_table(scores, Scores),
        read_table(splits, Splits),
        read_table(sources, Sources),
        read_ledger(filtering),
        settings,
    )
    _write(sheet, ["image-to-image"], render_clips(sheet), data, text)


def describe_samples(
    dataset: str,
    samples: str,
    splits: pl.DataFrame,
    sources: pl.DataFrame,
    sets: Mapping[str, Mapping[str, Any]],
    settings: Mapping[str, Any],
    pictures: pl.DataFrame | None = None,
) -> dict[str, Any]:
    """Return what is true of the datasheet of any dataset, as plain JSON types: how many samples, from where, by which rights.

    `samples`: what one sample is, in the plural. `splits`, `sources`: frames of `tables.Splits`, `Sources`. `sets`, `settings`:
    as `describe_dataset` takes them. `pictures`: of `tables.Pictures`, if the samples are pictures with labels.
    """
    labelled = pl.DataFrame() if pictures is None else pictures.drop_nulls("label")
    origins = splits.group_by(_origin(splits, sets), "split").agg(samples=pl.len()).select("source", "samples", "split")
    parts = {split: splits.filter(split=split) for split in ("train", "val", "test")}
    return {
        "dataset": dataset,
        "samples": samples,
        "splits": {split: {"samples": part.height, "sources": part["source"].n_unique()} for split, part in parts.items()},
        "missing": [] if labelled.is_empty() else missing_from_splits(labelled.with_columns(source=_origin(labelled, sets))),
        "origins": _with_rights(origins, sources, sets),
        **_made_by(settings),
    }


def render_samples(sheet: Mapping[str, Any]) -> str:
    """Return what `describe_samples` returns as Markdown."""
    splits: Mapping[str, Any] = sheet["splits"]
    return "\n".join(
        [
            f"# Dataset {plain(sheet['dataset'])}\n",
            "## Content\n",
            table(
                ["", *splits],
                [
                    [sheet["samples"], *(split["samples"] for split in splits.values())],
                    ["sources", *(split["sources"] for split in splits.values())],
                ],
            ),
            *_render_missing(sheet),
            "## Origins\n",
            _columns(sheet["origins"], "source", "split", "samples", *RIGHTS),
            "## Settings\n",
            *_render_made_by(sheet),
        ]
    )


def write_plain_datasheet(
    dataset: str,
    samples: str,
    splits: Path,
    sources: Path,
    sets: Mapping[str, Mapping[str, Any]],
    settings: Mapping[str, Any],
    data: Path,
    text: Path,
    pictures: Path | None = None,
) -> None:
    """Write the datasheet of `dataset` as JSON to `data`, and as Markdown to `text`. See `describe_samples`.

    `pictures`: a file of `tables.Pictures`.
    """
    labelled = read_table(pictures, Pictures) if pictures else None
    divided, admitted = read_table(splits, Splits), read_table(sources, Sources)
    sheet = describe_samples(dataset, samples, divided, admitted, sets, settings, labelled)
    _write(sheet, ["image-classification"] if pictures else [], render_samples(sheet), data, text)


def _header(sheet: Mapping[str, Any], tasks: Sequence[str]) -> str:
    """Return the YAML header of a datasheet. `tasks`: what the dataset is for, as hubs of datasets call it."""
    count = sum(split.get("images", split.get("clips", split.get("samples", 0))) for split in sheet["splits"].values())
    origins = sheet["origins"]
    licences = sorted({LICENCES.get(re.sub("[^a-z0-9]", "", origin["rights"].lower()), "other") for origin in origins})
    is_adult = any(origin["content"] == "adult" for origin in origins)
    return front_matter(
        {
            "pretty_name": sheet["dataset"],
            "license": "other" if "other" in licences else licences,
            "task_categories": list(tasks),
            "size_categories": [next((name for least, name in SAMPLES if count < least), "n>1M")],
            "tags": ["tessera", *([FOR_ADULTS] if is_adult else [])],
        }
    )


def _write(sheet: Mapping[str, Any], tasks: Sequence[str], page: str, data: Path, text: Path) -> None:
    for line in sheet.get("missing", ()):
        tell(f"the dataset {sheet['dataset']!r}: {line}")
    data.write_text(json.dumps(sheet, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    text.write_text(_header(sheet, tasks) + page, encoding="utf-8")
