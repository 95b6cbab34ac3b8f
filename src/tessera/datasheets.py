"""Datasheets: what a dataset holds and where it comes from, for those who use it and for the report."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tessera.geometry import area, decode_rle
from tessera.ledger import read_ledger, summarise
from tessera.markdown import plain, table
from tessera.provenance import digest
from tessera.tables import Annotations, Images, Sources, Splits, read_table

# Edges of the histograms: from each edge up to the next, the last without end.
AREA_PIXELS = (0, 16**2, 32**2, 64**2, 96**2, 128**2, 256**2, 512**2)
AREA_FRACTION = (0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)


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
    """Return the datasheet of `dataset` as plain JSON types; equal data gives an equal datasheet, on any machine.

    `images`, `annotations`, `splits`, `sources`: frames of `tables.Images`, `Annotations`, `Splits`, `Sources`.
    `sets`: of each folder of labels and each set of watermarks, by what the sources of its images start with, its `content`,
    `rights` and `consent`. `selection`, `writing`: rows of the ledgers of `select_samples` and `write_yolo_dataset`.
    `settings`: what the dataset was made by.
    Areas are in pixels of the image, and as a fraction of it.
    """
    images = images.drop("split").join(splits.select("key", "split"), on="key")
    regions = annotations.join(images.select("key", "source", "split", "width", "height"), on="key")
    regions = regions.with_columns(
        area=pl.Series([_area(region) for region in regions.iter_rows(named=True)], dtype=pl.Float64)
    )
    return {
        "dataset": dataset,
        "splits": {split: _split(split, images, regions) for split in ("train", "val", "test")},
        "image_sizes": images.group_by("width", "height")
        .agg(images=pl.len())
        .sort(["images", "width", "height"], descending=True)
        .to_dicts(),
        "regions": {
            "area_pixels": _histogram(regions["area"], AREA_PIXELS),
            "area_fraction": _histogram(regions["area"] / (regions["width"] * regions["height"]), AREA_FRACTION),
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
        "settings": digest(settings),
    }


def _area(region: Mapping[str, Any]) -> float:
    """Return the area of one region in square pixels."""
    if region["polygons"] is not None:
        rings = [[area(np.array(ring).reshape(-1, 2)) for ring in part] for part in region["polygons"]]
        return sum(outer - sum(holes) for outer, *holes in rings)
    if region["rle"] is not None:
        return float(np.count_nonzero(decode_rle(region["rle"], region["height"], region["width"])))
    return float((region["x1"] - region["x0"]) * (region["y1"] - region["y0"]))


def _split(split: str, images: pl.DataFrame, regions: pl.DataFrame) -> dict[str, Any]:
    here = images.filter(pl.col("split") == split)
    inside = regions.filter(pl.col("split") == split)
    return {
        "images": here.height,
        "without_regions": here.height - inside["key"].n_unique(),
        "sources": here["source"].n_unique(),
        "regions": dict(inside.group_by("label").len().sort("label").iter_rows()),
    }


def _histogram(values: pl.Series, edges: Sequence[float]) -> list[dict[str, Any]]:
    counts = np.histogram(values.to_numpy(), bins=[*edges, np.inf])[0].tolist()
    return [
        {"from": low, "to": high, "regions": count} for low, high, count in zip(edges, [*edges[1:], None], counts, strict=True)
    ]


def _origins(
    images: pl.DataFrame, regions: pl.DataFrame, sources: pl.DataFrame, sets: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return what came from each source and, of a set whose images are sources of their own, from its part in each split."""
    stated = {row["source"]: row for row in sources.iter_rows(named=True)} | dict(sets)
    names = {source: _set_of(source, sets) for source in images["source"].unique()}
    origin = pl.col("source").replace_strict(names, return_dtype=pl.String)
    counts = regions.group_by(origin, "split").agg(regions=pl.len())
    origins = images.group_by(origin, "split").agg(images=pl.len()).join(counts, on=["source", "split"], how="left")
    return [
        {
            **row,
            "regions": row["regions"] or 0,
            "content": stated[row["source"]]["content"],
            "rights": stated[row["source"]]["rights"],
            "consent": stated[row["source"]]["consent"],
        }
        for row in origins.select("source", "images", "split", "regions").sort("source", "split").iter_rows(named=True)
    ]


def _set_of(source: str, sets: Mapping[str, Any]) -> str:
    """Return the set that `source` is a part of; itself where it is of none."""
    return next((name for name in sets if source.startswith(f"{name}/")), source)


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
    columns = ["source", "split", "images", "regions", "content", "rights", "consent"]
    origins = [[row[column] for column in columns] for row in sheet["origins"]]
    selection, writing = sheet["selection"], sheet["writing"]
    left_out = [
        ["images with labels", selection["in"]],
        *([f"left out: {reason}", count] for reason, count in selection["dropped"].items()),
        ["images in the dataset", selection["ok"]],
        ["their regions", writing["in"]],
        *([f"left out: {reason}", count] for reason, count in writing["dropped"].items()),
        *([f"carried in part: {reason}", count] for reason, count in writing["partly"].items()),
        ["regions in the dataset", writing["ok"]],
    ]
    return "\n".join(
        [
            f"# Dataset {plain(sheet['dataset'])}\n",
            "## What it holds\n",
            table(["", *splits], holds),
            "## From what is labelled to what is here\n",
            table(["", "count"], left_out),
            "## Where it comes from\n",
            table(columns, origins),
            "## Sizes of images\n",
            table(["width x height, pixels", "images"], sizes),
            "## Areas of regions\n",
            "In pixels of the image:\n",
            table(["area", "regions"], pixels),
            "As a fraction of the image:\n",
            table(["area", "regions"], fractions),
            "## Shapes of regions\n",
            table(["", "regions"], kinds),
            "## Settings\n",
            f"sha256 of the settings that made it: `{sheet['settings']}`\n",
        ]
    )


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
    sets: Mapping[str, Mapping[str, Any]],
    settings: Mapping[str, Any],
    data: Path,
    text: Path,
) -> None:
    """Write the datasheet of `dataset` as JSON to `data`, and as Markdown to `text`. See `describe_dataset`."""
    sheet = describe_dataset(
        dataset,
        read_table(images, Images),
        read_table(annotations, Annotations),
        read_table(splits, Splits),
        read_table(sources, Sources),
        sets,
        read_ledger(selection),
        read_ledger(writing),
        settings,
    )
    data.write_text(json.dumps(sheet, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    text.write_text(render(sheet), encoding="utf-8")
