"""Draw samples of image datasets, and the predictions of detectors for them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tessera.core.errors import Failed, TesseraError
from tessera.imaging.boxes import Box
from tessera.imaging.figures import GREEN, ORANGE, PURPLE, SKY
from tessera.imaging.masks import decode_rle
from tessera.pages.report.tiles import Picture, Shown, draw_tiles, shrink_picture


class Prediction(Protocol):
    """A region that a detector found."""

    @property
    def box(self) -> Box:
        """x0, y0, x1, y1 in pixels, half-open."""

    @property
    def rle(self) -> str | None:
        """COCO's compressed run lengths of its mask in the image; None if the detector finds only boxes."""


def describe_mosaics(tables: Sequence[Path]) -> dict[str, str]:
    """Return the parameters of the mosaics of each sample as text, by key. `tables`: files of `tables.Mosaics`."""
    from tessera.records.tables.mosaics import Mosaics
    from tessera.records.tables.table import read_tables

    texts: dict[str, list[str]] = {}
    for row in read_tables(list(tables), Mosaics).sort("key", "number").iter_rows(named=True):
        if row["type"] == "bar":
            text = f"{row['bar_colour']} bar, opacity {row['bar_opacity']:.2g}"
        else:
            text = f"{row['version']} {row['type']} {_pixels(row['block_width'])} x {_pixels(row['block_height'])}"
        edge = f", feather {_pixels(row['feather'])}" if row["feather"] else ""
        grown = f", grown by {_pixels(row['dilation'])}" if row["dilation"] else ""
        cut = ", cut blocks" if row["incomplete"] else ""
        faint = [
            f"scaled by {row['scale']:.2g}" if row["scale"] != 1 else "",
            f"blur {_pixels(row['blur'])}" if row["blur"] else "",
            f"brightness {row['brightness']:.2g}" if row["brightness"] < 1 else "",
        ]
        # On a line of their own, so that none is cut off.
        lines = f"{text}{edge}{grown}{cut}", ", ".join(filter(None, faint))
        texts.setdefault(row["key"], []).extend(filter(None, lines))
    return {key: "\n".join(lines) for key, lines in texts.items()}


def _pixels(length: float) -> str:
    return f"{round(length, 1):g}"


def describe_marks(tables: Sequence[Path]) -> dict[str, str]:
    """Return the parameters of the watermarks drawn on each sample as text, by key. `tables`: files of `tables.Marks`."""
    from tessera.records.tables.table import read_tables
    from tessera.records.tables.watermarks import Marks

    texts: dict[str, list[str]] = {}
    for row in read_tables(list(tables), Marks).sort("key", "number").iter_rows(named=True):
        tiled = ", tiled" if row["tiled"] else ""
        text = f"{row['kind']} {row['size']} px, opacity {row['opacity']:.2f}, {row['angle']:.0f}°{tiled}"
        texts.setdefault(row["key"], []).append(text)
    return {key: "\n".join(lines) for key, lines in texts.items()}


def draw_samples(
    folder: Path,
    selected: Path,
    regions: Path,
    shown: Shown,
    path: Path,
) -> None:
    """Draw the samples `shown` with the outlines of their regions as an HTML page.

    `folder` holds the images as `SPLIT/KEY.SUFFIX`. `selected`, `regions`: `tables.Images` and `tables.Annotations` of the
    dataset.
    """
    tiles = [
        shrink_picture(sample, sample.name not in shown.clear)._replace(caption=shown.captions.get(sample.name, ""))
        for sample in _read_samples(folder, selected, regions, shown)
    ]
    labels = sorted({label for tile in tiles for label, _ in tile.regions})
    colours = dict(zip(labels, (ORANGE, SKY, PURPLE, GREEN) * len(labels), strict=False))
    draw_tiles(tiles, colours, shown.heading, path)


def draw_predictions(
    folder: Path,
    selected: Path,
    regions: Path,
    predict: Callable[[Iterable[np.ndarray]], Iterable[Sequence[Prediction]]],
    shown: Shown,
    path: Path,
) -> None:
    """Draw the samples `shown` with their labelled regions and the predictions of a detector as an HTML page.

    `predict` returns the predictions for each of the images that it is given, RGB uint8 (H, W, 3). A prediction without a mask
    is drawn as its box. The rest is as in `draw_samples`.
    """
    samples = list(_read_samples(folder, selected, regions, shown))
    tiles = []
    for sample, predictions in zip(samples, predict(sample.image for sample in samples), strict=True):
        size = sample.image.shape[:2]
        labelled = [("labelled", mask) for _, mask in sample.regions]
        predicted = [
            ("predicted", _box_mask(prediction.box, *size) if prediction.rle is None else decode_rle(prediction.rle, *size))
            for prediction in predictions
        ]
        tiles.append(shrink_picture(Picture(sample.name, sample.image, labelled + predicted), sample.name not in shown.clear))
    draw_tiles(tiles, {"labelled": SKY, "predicted": ORANGE}, shown.heading, path)


def _read_samples(folder: Path, selected: Path, regions: Path, shown: Shown) -> Iterator[Picture]:
    """Yield the samples `shown` with their labelled regions."""
    import polars as pl

    from tessera.imaging.images import read_image
    from tessera.records.tables.annotation import Annotations, Images
    from tessera.records.tables.table import read_table

    files = {file.stem: file for file in (folder / shown.split).iterdir()}
    sizes = {key: size for key, *size in read_table(selected, Images).select("key", "height", "width").iter_rows()}
    shapes = read_table(regions, Annotations).filter(pl.col("key").is_in(list(shown.keys)))
    for key in shown.keys:
        try:
            image = read_image(files[key])
        except Failed as error:
            raise TesseraError(f"{error}; delete the folder {folder} and run again") from error
        yield Picture(
            key, image, [(row["label"], _mask(row, *sizes[key])) for row in shapes.filter(key=key).iter_rows(named=True)]
        )


def _mask(row: dict[str, Any], height: int, width: int) -> np.ndarray:
    """Return the mask, uint8 (height, width), of a row of `tables.Annotations`; if it has only a box, the mask of the box."""
    from tessera.imaging.polygons import Part, rasterize

    if row["rle"] is not None:
        return decode_rle(row["rle"], height, width)
    if row["polygons"] is None:
        return _box_mask((row["x0"], row["y0"], row["x1"], row["y1"]), height, width)
    parts = [[np.asarray(ring, dtype=np.float64).reshape(-1, 2) for ring in rings] for rings in row["polygons"]]
    return rasterize([Part(outer, tuple(holes)) for outer, *holes in parts], height, width)


def _box_mask(box: Box, height: int, width: int) -> np.ndarray:
    from tessera.imaging.polygons import Part, rasterize, rectangle

    return rasterize([Part(rectangle(box))], height, width)
