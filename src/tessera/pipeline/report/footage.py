"""Show footage before and after its restoration."""

import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tessera.core.errors import Failed, TesseraError
from tessera.core.files import file_name
from tessera.core.ledger import read_ledger
from tessera.pipeline.report.clips import animate, in_motion
from tessera.pipeline.report.pages import write_page
from tessera.pipeline.report.settings import ReportSettings
from tessera.pipeline.report.tiles import PAPER, Picture, shrink_picture

GAP = 4  # pixels between the halves of a comparison
SIDE = 480  # pixels, longer side of a half of an animated comparison


def show_footage(
    comparisons: Sequence[Path],
    scenes: Sequence[Path],
    ledgers: Sequence[Path],
    sources: Path,
    shown: Sequence[str],
    settings: ReportSettings,
    path: Path,
) -> None:
    """Write an HTML page with the sources `shown` before and after their restoration, as animations.

    `comparisons`, `scenes`, `ledgers`: of each shard, the folder of comparisons, `tables.Scenes`, and the ledger of the
    restoration. `sources`: `tables.Sources`. An animation begins with the first region. It is blurred unless the content of its
    source is known to be `general`, or `settings.blur` says otherwise.
    """
    from tessera.records.tables.footage import Sources
    from tessera.records.tables.scenes import Scenes
    from tessera.records.tables.table import read_table

    content = dict(read_table(sources, Sources).select("source", "content").iter_rows())
    files = {file.stem: file for folder in comparisons for file in folder.iterdir()}
    found = {row["key"]: row for ledger in ledgers for row in read_ledger(ledger)}
    first: dict[str, int] = {}
    for table in scenes:
        for source, start in read_table(table, Scenes).select("source", "first").iter_rows():
            first[source] = min(start, first.get(source, start))
    parts = []
    for source in shown:
        row = found.get(source, {"status": "dropped", "reason": "source refused", "detail": ""})
        if row["status"] == "ok":
            is_clear = settings.blur == "none" or (settings.blur == "adult" and content.get(source) == "general")
            images = _halves(files[file_name(source)], first[source], not is_clear)
            parts.append(animate(images, [source, f"as found, and restored ({row['detail']})"]))
        else:
            parts.append(f"<p>{html.escape(source)}: {html.escape(' '.join([row['reason'], row['detail']]).strip())}</p>")
    write_page(path, "Restored footage", f'<div class="triptychs">{"".join(parts)}</div>')


def _halves(video: Path, first: int, is_blurred: bool) -> list[np.ndarray]:
    """Return frames of the comparison `video` from frame `first` on, at the rate of an animation: uint8 (H, W, 3), RGB."""
    from tessera.imaging.video import read_frames, read_packets

    images = []
    try:
        packets = read_packets(video)
        first = first if first < len(packets) else 0  # of some films, only spans are restored
        for frame in read_frames(video, packets, (in_motion(packets.time[first:] - packets.time[first]) + first).tolist()):
            image = frame.image()
            half = (image.shape[1] - GAP) // 2
            panels = [Picture("", panel, []) for panel in (image[:, :half], image[:, half + GAP : 2 * half + GAP])]
            left, right = (shrink_picture(panel, is_blurred, SIDE).image for panel in panels)
            images.append(np.concatenate([left, np.full((len(left), GAP, 3), PAPER, np.uint8), right], axis=1))
    except Failed as error:
        raise TesseraError(f"{video}: {error}; delete the folder {video.parent} and run again") from error
    return images
