"""Contact sheets: choose the samples that are shown, blur them, and draw them."""

import html
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import numpy as np
from PIL import Image

from tessera.core.errors import Failed, TesseraError
from tessera.core.messages import pluralize
from tessera.core.seeds import generator
from tessera.imaging.figures import DARK
from tessera.pages.report.pages import figure, write_page
from tessera.pages.report.settings import ReportSettings
from tessera.records.blurring import clear_keys

BLUR_SIDE = 6  # blocks along the longer side of a blurred image
TILE_SIDE = 300  # pixels, longer side of a sample in a contact sheet
TILE_COLUMNS = 4
PAPER = tuple(bytes.fromhex(DARK["paper"][1:]))  # RGB, between pictures: it does not glare in either theme


class Picture(NamedTuple):
    """An image, RGB uint8 (H, W, 3), and the masks of its regions, uint8 (H, W), each with its label."""

    name: str
    image: np.ndarray
    regions: list[tuple[str, np.ndarray]]
    caption: str = ""


class Shown(NamedTuple):
    """The samples of a split that a figure shows."""

    split: str
    keys: Sequence[str]
    clear: Collection[str]  # the keys of samples that are not blurred
    captions: Mapping[str, str]  # by key, the text below the name of a sample
    heading: str = ""  # how many samples of how many these are


def choose_shown(
    splits: Path,
    split: str,
    sources: Path,
    sets: Mapping[str, str],
    settings: ReportSettings,
    seed: int,
    captions: Mapping[str, str],
    regions: Path | None = None,
) -> Shown:
    """Return the samples of `split` that are shown, drawn under `seed`.

    `regions`: `tables.Annotations` of the dataset. If it is given, samples with a region come first, and the heading says how
    many have none. `find_clear` describes the other parameters.
    """
    from tessera.records.tables.annotation import Annotations
    from tessera.records.tables.splits import Splits
    from tessera.records.tables.table import read_table

    keys = read_table(splits, Splits).filter(split=split)["key"].to_list()
    labelled = set(keys) if regions is None else set(keys).intersection(read_table(regions, Annotations)["key"])
    shown = choose_samples([key for key in keys if key in labelled], settings.samples, seed, split)
    backgrounds = [key for key in keys if key not in labelled]
    shown += choose_samples(backgrounds, settings.samples - len(shown), seed, split)
    heading = f"{len(shown):,} of the {pluralize(len(keys), 'samples')} of {split}"
    if regions is not None:
        heading += f", those with a region first; backgrounds without a region: {len(backgrounds):,} of the {len(keys):,}"
    return Shown(split, shown, find_clear(splits, sources, sets, settings), captions, heading)


def choose_samples(keys: Sequence[str], count: int, seed: int, name: str) -> list[str]:
    """Return `count` of `keys`, or all if there are fewer, sorted. `seed` and `name` decide the choice."""
    ordered = sorted(keys)
    chosen = generator(seed, "figures", name).choice(len(ordered), min(count, len(ordered)), replace=False)
    return [ordered[i] for i in sorted(chosen)]


def find_clear(splits: Path, sources: Path, sets: Mapping[str, str], settings: ReportSettings) -> frozenset[str]:
    """Return the keys of the samples that are shown without blur, as `settings.blur` says. All others must be blurred.

    `splits`, `sources`: `tables.Splits` of the dataset and `tables.Sources`. `sets`: the `content` of each set of images that
    the settings name, by the id that their sources start with. With `blur: adult`, only samples of sources whose content is
    known to be `general` are clear.
    """
    from tessera.records.tables.splits import Splits
    from tessera.records.tables.table import read_table

    samples: Iterable[tuple[str, str]] = read_table(splits, Splits).select("key", "source").iter_rows()
    return clear_keys(samples, sources, sets, settings.blur)


def blur(image: np.ndarray) -> np.ndarray:
    """Return `image`, uint8 (H, W, 3), blurred beyond recognition.

    This cannot be undone: the result depends only on the means of `BLUR_SIDE` blocks along the longer side, and of as many
    blocks of the same size as fit along the other side.
    """
    import cv2

    height, width = image.shape[:2]
    scale = BLUR_SIDE / max(height, width)
    blocks = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(cv2.resize(image, blocks, interpolation=cv2.INTER_AREA), (width, height), interpolation=cv2.INTER_CUBIC)


def shrink_picture(picture: Picture, blurred: bool, side: int = TILE_SIDE) -> Picture:
    """Return `picture` and its regions, scaled down to a longer side of `side` pixels, and blurred if `blurred` is true."""
    from tessera.imaging.images import shrink

    image = shrink(picture.image, side)
    regions = [(label, shrink(mask, side)) for label, mask in picture.regions]
    return Picture(picture.name, blur(image) if blurred else image, regions)


def read_tile(key: str, path: Path, clear: Collection[str], caption: str = "", folder: Path | None = None) -> Picture:
    """Return the picture in the file `path`, scaled down, and blurred unless its `key` is in `clear`.

    Raises `TesseraError` if it cannot be read. The message asks to delete the `folder` that a rule makes; None: that of `path`.
    """
    from tessera.imaging.images import read_image

    try:
        image = read_image(path)
    except Failed as error:
        raise TesseraError(f"{error}; delete the folder {folder or path.parent} and run again") from error
    return shrink_picture(Picture(key, image, []), key not in clear)._replace(caption=caption)


def tile_figure(tile: Picture, alt: str = "") -> str:
    """Return an HTML figure of `tile`, without its regions, with its name and all lines of its caption; `alt`: see `figure`."""
    file = io.BytesIO()
    Image.fromarray(tile.image).save(file, "JPEG", quality=85)
    lines = [line for line in (unquote(tile.name), *tile.caption.split("\n")) if line]
    return figure(file.getvalue(), "jpeg", lines, alt=alt)


def sheet_of(
    tiles: Sequence[Picture], colours: Mapping[str, str], columns: int = TILE_COLUMNS, nothing: str = "no region"
) -> str:
    """Return the HTML of `tiles` in rows of `columns`, with the outlines of their regions in `colours` by label.

    `nothing`: what is said of a named tile without a region. On a narrow screen, rows of four become two rows.
    """
    drawn = []
    for tile in tiles:
        if tile.image.size == len(PAPER):  # nothing: it only fills a row
            drawn.append("<div></div>")
            continue
        image = _outlined(tile, colours)
        lines = [tile.caption, nothing] if tile.name and not tile.regions else [tile.caption]
        drawn.append(
            tile_figure(tile._replace(image=image, caption="\n".join(filter(None, lines))), tile.name or "another frame")
        )
    labels = "".join(
        f'<li><span style="background: {colour}"></span>{html.escape(label)}</li>' for label, colour in colours.items()
    )
    legend = f'<ul class="legend">{labels}</ul>' if tiles and colours else ""
    wide = " wide" if columns % 2 == 0 else ""
    return f'{legend}<div class="sheet{wide}" style="--columns: {columns}">{"".join(drawn)}</div>'


def _outlined(tile: Picture, colours: Mapping[str, str]) -> np.ndarray:
    """Return the picture of `tile` with the outlines of its regions, RGB.

    A small one is enlarged, each pixel several times, so that the outlines do not cover what they are around.
    """
    import cv2

    times = max(1, TILE_SIDE // max(tile.image.shape[:2]))
    image = tile.image.repeat(times, 0).repeat(times, 1)  # a copy, in any case
    for width, is_edge in ((4, True), (2, False)):
        for label, mask in tile.regions:
            larger = (mask > 127).view(np.uint8).repeat(times, 0).repeat(times, 1)
            outlines, _ = cv2.findContours(larger, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            # White around it separates an outline from what it is drawn on.
            colour = (255, 255, 255) if is_edge else tuple(bytes.fromhex(colours[label][1:]))
            cv2.drawContours(image, outlines, -1, colour, width)
    return image


def draw_tiles(
    tiles: Sequence[Picture],
    colours: Mapping[str, str],
    heading: str,
    path: Path,
    columns: int = TILE_COLUMNS,
    nothing: str = "no region",
) -> None:
    """Write `tiles` as an HTML page with a `heading`; see `sheet_of`."""
    text = f"<p>{html.escape(heading)}</p>" if heading else ""
    write_page(path, "Pictures", text + sheet_of(tiles, colours, columns, nothing))
