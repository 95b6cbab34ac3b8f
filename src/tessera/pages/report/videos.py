"""What a detector does in videos: how often it interrupts, and what it finds in footage that is known to show nothing."""

import html
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import polars as pl

from tessera.core.ledger import read_ledger
from tessera.core.messages import format_counts, pluralize
from tessera.learning.intervals import clopper_pearson, poisson_interval
from tessera.pages.report.pages import table
from tessera.records.tables.evaluation import WatchedVideos
from tessera.records.tables.table import read_table

SHOWN = 20  # videos with a row of their own


def describe_videos(
    videos: Path, ledger: Path, objects: pl.DataFrame, confidence: float, finds: str, free: Collection[str]
) -> str:
    """Return the part of an HTML page about videos that a detector was run on.

    `videos`: `tables.WatchedVideos`. `ledger`: that of `videos`. `objects`: `tables.Objects` of the detector, of one kind. They
    count as found from `confidence`. `finds`: what the detector finds. `free`: the ids of the sources known not to show it.
    """
    watched = read_table(videos, WatchedVideos)
    rows = read_ledger(ledger)
    left_out = Counter(f"{row['status']}: {row['reason']}" for row in rows if row["status"] != "ok")
    parts = [
        "<h2>Videos</h2>",
        "<p>The detector was run on consecutive frames of videos that it was not trained on. Nothing was drawn on them, unlike"
        f" on samples with marks or mosaics. Detections with a confidence of {confidence:g} or more count. Those of one region"
        " are a track. It is interrupted where the detector misses the region between two detections, also if the region"
        " is hidden there.</p>",
        html.escape(f"Watched: {len(watched):,} of {pluralize(len(rows), 'sources')}. {format_counts(left_out)}").join(
            ["<p>", "</p>"]
        ),
        "<h3>False positives in footage that is known to show nothing</h3>",
        _false_positives(watched.filter("known_free"), finds, free),
    ]
    if not watched.is_empty():
        parts += ["<h3>Flickering: detections in the videos as they are</h3>", _tracked(watched)]
        parts += [
            "<h3>Found and missed: labelled objects in samples of these videos</h3>",
            "<p>Samples are single frames of a video, and what they show may be drawn, such as mosaics. The detections in the"
            " table above are of the video as it is, so the two tables cannot be compared.</p>",
            _labelled(watched, objects, confidence),
        ]
    return "\n".join(parts)


def _false_positives(watched: pl.DataFrame, finds: str, free: Collection[str]) -> str:
    if not free:
        return f"<p>No source of the manifest is <code>free_of</code> {finds}, so that false positives cannot be counted.</p>"
    total = _total(watched)
    minutes = total["seconds"] / 60
    if not minutes:
        stated = pluralize(len(free), "sources")
        return (
            f"<p>The manifest states of {stated} that they are <code>free_of</code> {finds}, and none of them was watched. Give"
            " a video of these the split val or test.</p>"
        )
    hit, frames, count = total["with_detection"], total["frames"], total["tracks"]
    low, high = poisson_interval(count)
    shown = [
        ["footage", f"{total['seconds']:,.1f} seconds of {pluralize(len(watched), 'videos')}"],
        ["false positives, each track counted once", f"{count:,}"],
        ["false positives per minute", f"{count / minutes:.2f} (95 % interval {low / minutes:.2f} to {high / minutes:.2f})"],
        ["false detections per minute", f"{total['detections'] / minutes:.2f}"],
        ["frames with a false detection", f"{hit:,} of {frames:,} ({hit / frames:.1%})"],
    ]
    return table([], shown) + (
        "<p>The interval is exact if false positives are independent of each other (Poisson). The less footage is watched, the"
        " wider it is.</p>"
    )


def _tracked(watched: pl.DataFrame) -> str:
    """Return a table of the videos, those that flicker most first."""
    rows = watched.with_columns(fraction=(pl.col("missed") / pl.col("spanned")).fill_nan(-1.0)).sort(
        "fraction", "source", descending=[True, False]
    )
    header = [
        "video",
        "split",
        "seconds watched",
        "tracks",
        "detections per minute",
        "frames of tracks that are interrupted",
        "interruptions per minute",
    ]
    return table(header, [[name, split, *_cells(row)] for name, split, row in _shown(rows)])


def _labelled(watched: pl.DataFrame, objects: pl.DataFrame, confidence: float) -> str:
    """Return a table of the objects in the samples of the videos, the videos with the most missed first."""
    hit = (pl.col("score").fill_null(-1) >= confidence).sum()
    of_source = objects.group_by("source").agg(objects=pl.len(), found=hit)
    rows = watched.join(of_source, on="source").sort(pl.col("objects") - pl.col("found"), "source", descending=[True, False])
    if rows.is_empty():
        return "<p>No object is labelled in samples of these videos.</p>"
    header = ["video", "split", "labelled objects", "found", "missed", "fraction found (95 % interval)"]
    cells = [
        [name, split, row["objects"], row["found"], row["objects"] - row["found"], stated(row["found"], row["objects"])]
        for name, split, row in _shown(rows)
    ]
    return table(header, cells)


def stated(hits: int, count: int) -> str:
    """Return a fraction with its interval; see `clopper_pearson`."""
    low, high = clopper_pearson(hits, count)
    return f"{hits / count:.3f} ({low:.2f} to {high:.2f})"


def _shown(videos: pl.DataFrame) -> list[tuple[str, str, dict[str, Any]]]:
    """Return the name, the split and the values of the rows of a table: of all, of the first `SHOWN`, and of the others."""
    rows = [("all", "", _total(videos))]
    rows += [(row["source"], row["split"], row) for row in videos.head(SHOWN).iter_rows(named=True)]
    if len(videos) > SHOWN:
        others = videos.tail(len(videos) - SHOWN)
        rows.append((f"{len(others):,} others", "", _total(others)))
    return rows


def _total(videos: pl.DataFrame) -> dict[str, Any]:
    return videos.select(pl.col(pl.Int64, pl.UInt32, pl.Float64).sum()).row(0, named=True)


def _cells(row: dict[str, Any]) -> list[Any]:
    minutes = row["seconds"] / 60
    return [
        f"{row['seconds']:,.1f}",
        row["tracks"],
        f"{row['detections'] / minutes:.1f}" if minutes else "",
        f"{row['missed'] / row['spanned']:.1%}" if row["spanned"] else "no track",
        f"{row['interruptions'] / minutes:.1f}" if minutes else "",
    ]
