"""What a detector does in videos: how often it interrupts, and what it finds in footage that is known to show nothing."""

import html
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import polars as pl

from tessera.core.ledger import read_ledger
from tessera.core.messages import counted, tallied
from tessera.pipeline.report.pages import table
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
        html.escape(f"Watched: {len(watched):,} of {counted(len(rows), 'sources')}. {tallied(left_out)}").join(["<p>", "</p>"]),
        "<h3>False positives in footage that is known to show nothing</h3>",
        _false_positives(watched.filter("known_free"), finds, free),
    ]
    if not watched.is_empty():
        parts += ["<h3>Found, missed and flickering</h3>", _by_video(watched, objects, confidence)]
    return "\n".join(parts)


def _false_positives(watched: pl.DataFrame, finds: str, free: Collection[str]) -> str:
    if not free:
        return f"<p>No source of the manifest is <code>free_of</code> {finds}, so that false positives cannot be counted.</p>"
    total = _total(watched)
    minutes = total["seconds"] / 60
    if not minutes:
        stated = counted(len(free), "sources")
        return (
            f"<p>The manifest states of {stated} that they are <code>free_of</code> {finds}, and none of them was watched. Give"
            " a video of these the split val or test.</p>"
        )
    hit, frames = total["with_detection"], total["frames"]
    shown = [
        ["footage", f"{minutes:.2f} minutes of {counted(len(watched), 'videos')}"],
        ["false positives per minute, each track counted once", f"{total['tracks'] / minutes:.2f}"],
        ["false detections per minute", f"{total['detections'] / minutes:.2f}"],
        ["frames with a false detection", f"{hit:,} of {frames:,} ({hit / frames:.1%})"],
    ]
    return table([], shown)


def _by_video(watched: pl.DataFrame, objects: pl.DataFrame, confidence: float) -> str:
    """Return a table of the videos, those that flicker most first."""
    hit = (pl.col("score").fill_null(-1) >= confidence).sum()
    of_source = objects.group_by("source").agg(objects=pl.len(), found=hit)
    joined = watched.join(of_source, on="source", how="left").with_columns(pl.col("objects", "found").fill_null(0))
    joined = joined.with_columns(fraction=(pl.col("missed") / pl.col("spanned")).fill_nan(-1.0)).sort(
        "fraction", "source", descending=[True, False]
    )
    rows = [("all", "", _total(joined))]
    rows += [(row["source"], row["split"], row) for row in joined.head(SHOWN).iter_rows(named=True)]
    if len(joined) > SHOWN:
        others = joined.tail(len(joined) - SHOWN)
        rows.append((f"{len(others):,} others", "", _total(others)))
    header = [
        "video",
        "split",
        "labelled objects in samples: found, missed",
        "minutes",
        "tracks",
        "detections per minute",
        "frames of tracks that are interrupted",
        "interruptions per minute",
    ]
    return table(header, [[name, split, *_cells(row)] for name, split, row in rows])


def _total(videos: pl.DataFrame) -> dict[str, Any]:
    return videos.select(pl.col(pl.Int64, pl.UInt32, pl.Float64).sum()).row(0, named=True)


def _cells(row: dict[str, Any]) -> list[Any]:
    minutes = row["seconds"] / 60
    return [
        f"{row['found']:,}, {row['objects'] - row['found']:,}" if row["objects"] else "none labelled",
        f"{minutes:.2f}",
        row["tracks"],
        f"{row['detections'] / minutes:.1f}" if minutes else "",
        f"{row['missed'] / row['spanned']:.1%}" if row["spanned"] else "no track",
        f"{row['interruptions'] / minutes:.1f}" if minutes else "",
    ]
