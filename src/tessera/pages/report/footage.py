"""Show footage before and after its restoration."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tessera.core.errors import Failed, TesseraError
from tessera.core.files import readable_name
from tessera.core.ledger import read_ledger
from tessera.imaging.side_by_side import GAP, halves
from tessera.pages.report.clips import PREVIEW_SECONDS, animate, in_motion
from tessera.pages.report.pages import write_page
from tessera.pages.report.settings import ReportSettings
from tessera.pages.report.tiles import PAPER, Picture, shrink_picture

SIDE = 480  # pixels, longer side of a half of an animated comparison
VISIBLE = 3  # levels by which pixels change on average from which on a reader sees it
AROUND = 0.15  # of the longer side of a region, shown around it in a close-up


class Region(NamedTuple):
    """The largest region of a source."""

    first: int  # index of the first frame of its scene
    pixels: int  # times frames, of all frames of the scene
    box: tuple[float, float, float, float]  # around the region in the frames that are shown: fractions of width and height


def show_footage(
    comparisons: Sequence[Path],
    scenes: Sequence[Path],
    scene_frames: Sequence[Path],
    ledgers: Sequence[Path],
    sources: Path,
    shown: Sequence[str],
    settings: ReportSettings,
    path: Path,
) -> None:
    """Write an HTML page with the sources `shown` before and after their restoration, as animations.

    `comparisons`, `scenes`, `scene_frames`, `ledgers`: of each shard, the folder of comparisons, `tables.Scenes`,
    `tables.SceneFrames`, and the ledger of the restoration. `sources`: `tables.Sources`. Of each source, the scene with the
    largest region is shown, in pixels times frames: a close-up, whose rank this is, and the whole picture. It is blurred unless
    the content of its source is known to be `general`, or `settings.blur` says otherwise.
    """
    from tessera.records.tables.footage import Sources
    from tessera.records.tables.table import read_table

    content = dict(read_table(sources, Sources).select("source", "content").iter_rows())
    files = {file.stem: file for folder in comparisons for file in folder.iterdir()}
    outcomes = {row["key"]: row for ledger in ledgers for row in read_ledger(ledger)}
    regions = largest_regions(scenes, scene_frames)
    parts = []
    for source in shown:
        row = outcomes.get(source, {"status": "dropped", "reason": "source refused", "detail": ""})
        if row["status"] == "ok" and readable_name(source) not in files:
            parts.append(f"<p>{html.escape(source)}: its comparison was moved or deleted</p>")
        elif row["status"] == "ok":
            is_clear = settings.blur == "none" or (settings.blur == "adult" and content.get(source) == "general")
            whole, close, change = _halves(files[readable_name(source)], regions[source], not is_clear)
            visibility = ", which is hardly visible" if change < VISIBLE else ""
            lines = [
                f"{source}, as found and restored",
                f"here, pixels change by {change:.1f} of 255 levels on average{visibility}",
                row["detail"],
            ]
            parts += [animate(close, lines, regions[source].pixels), animate(whole, [source, "the whole picture"])]
        else:
            parts.append(f"<p>{html.escape(source)}: {html.escape(' '.join([row['reason'], row['detail']]).strip())}</p>")
    write_page(path, "Restored footage", f'<div class="triptychs">{"".join(parts)}</div>')


def largest_regions(scenes: Sequence[Path], scene_frames: Sequence[Path]) -> dict[str, Region]:
    """Return the largest region of each source. The parameters are those of `show_footage`."""
    import polars as pl

    from tessera.records.tables.scenes import SceneFrames, Scenes
    from tessera.records.tables.table import read_tables

    frames = read_tables(list(scene_frames), SceneFrames)
    area = (pl.col("x1") - pl.col("x0")) * (pl.col("y1") - pl.col("y0"))
    sizes = dict(frames.group_by("key").agg(area.sum()).iter_rows())
    best: dict[str, Region] = {}
    for scene in read_tables(list(scenes), Scenes).sort("key").iter_rows(named=True):
        pixels = sizes[scene["key"]]
        if scene["source"] in best and best[scene["source"]].pixels >= pixels:
            continue
        of_scene = frames.filter(key=scene["key"])
        of_scene = of_scene.filter(pl.col("time") <= pl.col("time").min() + PREVIEW_SECONDS)
        x0, y0, x1, y1 = (
            float(value) for value in of_scene.select(pl.min("x0"), pl.min("y0"), pl.max("x1"), pl.max("y1")).row(0)
        )
        margin = AROUND * max(x1 - x0, y1 - y0)
        width, height = scene["width"], scene["height"]
        box = (x0 - margin) / width, (y0 - margin) / height, (x1 + margin) / width, (y1 + margin) / height
        best[scene["source"]] = Region(scene["first"], pixels, tuple(min(max(edge, 0.0), 1.0) for edge in box))
    return best


def _halves(video: Path, region: Region, is_blurred: bool) -> tuple[list[np.ndarray], list[np.ndarray], float]:
    """Return frames of the comparison `video` from the first of `region` on, uint8 (H, W, 3), RGB: whole, and close-ups.

    Also returns by how much a pixel of the close-ups changes on average, in levels.
    """
    from tessera.imaging.video import read_frames, read_packets

    def joined(both: Sequence[np.ndarray]) -> np.ndarray:
        left, right = (shrink_picture(Picture("", half, []), is_blurred, SIDE).image for half in both)
        return np.concatenate([left, np.full((len(left), GAP, 3), PAPER, np.uint8), right], axis=1)

    whole, close, changes = [], [], []
    try:
        packets = read_packets(video)
        first = region.first if region.first < len(packets) else 0  # of some films, only spans are restored
        for frame in read_frames(video, packets, (in_motion(packets.time[first:] - packets.time[first]) + first).tolist()):
            both = halves(frame.image())
            height, width = both[0].shape[:2]
            x0, x1 = (round(edge * width) for edge in region.box[::2])
            y0, y1 = (round(edge * height) for edge in region.box[1::2])
            whole.append(joined(both))
            before, after = (each[y0:y1, x0:x1] for each in both)
            changes.append(np.abs(before.astype(float) - after).mean())
            # Each pixel several times, so that blocks keep their edges.
            times = max(1, SIDE // max(x1 - x0, y1 - y0))
            close.append(joined([each.repeat(times, 0).repeat(times, 1) for each in (before, after)]))
    except Failed as error:
        raise TesseraError(f"{video}: {error}; delete the folder {video.parent} and run again") from error
    return whole, close, float(np.mean(changes))
