"""Show clips as animations and as rows of frames."""

import html
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from tessera.core.errors import Failed, TesseraError
from tessera.imaging.figures import ORANGE
from tessera.pages.report.pages import figure, write_page
from tessera.pages.report.tiles import PAPER, TILE_COLUMNS, Picture, Shown, sheet_of, shrink_picture
from tessera.records.lada.metadata import IMAGES, MASKS

PREVIEW_SIDE = 200  # pixels, longer side of an animation
PREVIEW_RATE = 8  # frames per second
PREVIEW_SECONDS = 4


def show_clips(folder: Path, shown: Shown, path: Path) -> None:
    """Write an HTML page with the clips `shown`: their first seconds as animations, and rows of frames, with their masks.

    `folder`: the clips of the split, laid out by `tessera.stages.datasets.clips`. A row is from the first frame to the last.
    """
    import cv2

    parts, tiles = [], []
    colour = tuple(int(ORANGE[start : start + 2], 16) for start in (1, 3, 5))
    for key in shown.keys:
        images = []
        for picture in _read_clip(folder, key, in_motion):
            tile = shrink_picture(picture, key not in shown.clear, PREVIEW_SIDE)
            image = np.ascontiguousarray(tile.image)
            for _, mask in tile.regions:
                outlines, _ = cv2.findContours((mask > 127).view(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
                cv2.drawContours(image, outlines, -1, colour, 1)
            images.append(image)
        parts.append(animate(images, [unquote(key), *shown.captions.get(key, "").splitlines()]))
        row = [shrink_picture(picture, key not in shown.clear) for picture in _read_clip(folder, key, _a_row)]
        # A shorter clip leaves the rest of its row empty.
        row += [Picture("", np.full((1, 1, 3), PAPER, np.uint8), [])] * (TILE_COLUMNS - len(row))
        tiles += [row[0]._replace(name=key, caption=shown.captions.get(key, "")), *(each._replace(name="") for each in row[1:])]
    rows = f"<details><summary>Frames of each clip</summary>{sheet_of(tiles, {'region': ORANGE})}</details>"
    body = f'<p>{html.escape(shown.heading)}</p><div class="clips">{"".join(parts)}</div>{rows}'
    write_page(path, f"Clips of the split {shown.split}", body)


def animate(images: Sequence[np.ndarray], lines: Sequence[str], rank: float = 0) -> str:
    """Return the HTML of an animation of `images`, uint8 (H, W, 3), RGB, with `lines` below it; `rank`: see `figure`."""
    from PIL import Image

    first, *rest = map(Image.fromarray, images)
    file, still = io.BytesIO(), io.BytesIO()
    first.save(file, "WEBP", save_all=True, append_images=rest, duration=1000 // PREVIEW_RATE, loop=0, quality=70)
    first.save(still, "WEBP", quality=70)
    return figure(file.getvalue(), "webp", lines, still.getvalue(), rank)


def describe_clips(clips: Path) -> dict[str, str]:
    """Return the caption of each clip in the table `clips` (`tables.Clips`), by key."""
    from tessera.records.tables.clips import Clips
    from tessera.records.tables.table import read_table

    return {
        row["key"]: f"{row['frames']} frames, {row['frames'] / row['rate']:.1f} s, {row['width']} x {row['height']}"
        for row in read_table(clips, Clips).iter_rows(named=True)
    }


def _a_row(time: np.ndarray) -> np.ndarray:
    """Return the indices of the frames of a row in a contact sheet, from the first to the last. `time`: seconds, by frame."""
    return np.linspace(0, len(time) - 1, min(len(time), TILE_COLUMNS)).round().astype(int)


def in_motion(time: np.ndarray) -> np.ndarray:
    """Return the indices of the frames of an animation, at a constant rate. `time`: seconds, by frame."""
    return np.unique(np.searchsorted(time, np.arange(0, min(float(time[-1]), PREVIEW_SECONDS) + 1e-6, 1 / PREVIEW_RATE)))


def _read_clip(folder: Path, key: str, choose: Callable[[np.ndarray], np.ndarray]) -> Iterator[Picture]:
    """Yield some frames of a clip with their masks. `choose` returns their indices, given the seconds of all frames."""
    from tessera.imaging.video import read_frames, read_packets

    video, masks = folder / IMAGES / f"{key}.mp4", folder / MASKS / f"{key}.mkv"
    try:
        packets, mask_packets = read_packets(video), read_packets(masks)
        wanted = choose(packets.time).tolist()
        for frame, mask in zip(read_frames(video, packets, wanted), read_frames(masks, mask_packets, wanted), strict=True):
            yield Picture(key, frame.image(), [("region", np.ascontiguousarray(mask.image()[..., 0]))])
    except Failed as error:
        raise TesseraError(f"{video}: {error}; delete the folder {folder.parent} and run again") from error
