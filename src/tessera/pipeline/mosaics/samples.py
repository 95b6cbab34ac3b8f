"""Make samples for mosaic detection: frames with mosaics, and masks of these mosaics."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tessera.core.errors import Dropped, Failed
from tessera.core.job import ahead, progress
from tessera.core.ledger import Ledger
from tessera.core.seeds import generator
from tessera.imaging.boxes import mask_box
from tessera.imaging.images import read_image, shrink, write_image
from tessera.imaging.masks import decode_rle
from tessera.imaging.mosaic.blocks import Mosaic, cover, whole_blocks
from tessera.imaging.mosaic.drawing import draw_mosaic
from tessera.imaging.mosaic.settings import VALUES, MosaicSettings


class Degrade(Protocol):
    """A function that degrades a picture after the mosaics are drawn."""

    def __call__(self, image: np.ndarray, /, *, rng: np.random.Generator, block: int) -> np.ndarray:
        """Return a degraded copy of `image`, uint8 (H, W, 3), RGB. `block`: height of its mosaic blocks in pixels."""


def pixelate_frames(
    frames: Path,
    pictures: Path,
    regions: Path,
    backgrounds: Path,
    table: Path,
    images: Path,
    masks: Path,
    ledger: Path,
    mosaic_ledger: Path,
    settings: MosaicSettings,
    seed: int,
    degrade: Degrade,
    threads: int = 1,
) -> None:
    """Make a sample from every frame with regions and every background frame: an image and the mask of its mosaics.

    `frames`: `tables.Frames`; their images are in the folder `pictures`. `regions`: `tables.Annotations`, with masks as run
    lengths and labels of `VALUES`. `backgrounds`: `tables.Frames` that are known to show nothing to detect. They become samples
    without a mosaic, unless `settings.backgrounds` is 0. Each picture is scaled down and its regions are pixelated. Then
    `degrade` is applied, with the height of the smallest block.

    The folders `images` and `masks` get one JPEG and one PNG file per sample, named after the key of the frame. Pixels of the
    mask that `cover` returns have the value of the label; a later region overwrites an earlier one. `table`
    (`tables.Mosaics`) gets one row per mosaic, `ledger` one per frame, and `mosaic_ledger` one per region, with the key
    `KEY#NUMBER`. The result does not depend on the number of `threads`.
    """
    import cv2
    import polars as pl

    from tessera.records.tables.annotation import Annotations
    from tessera.records.tables.footage import Frames
    from tessera.records.tables.mosaics import Mosaics
    from tessera.records.tables.table import read_table, types, write_table

    cv2.setNumThreads(1)  # frames are already processed in parallel threads
    images.mkdir()
    masks.mkdir()
    regions_of: dict[str, list[dict[str, Any]]] = {}
    for region in read_table(regions, Annotations).sort("key", "number").iter_rows(named=True):
        regions_of.setdefault(region["key"], []).append(region)
    wanted = regions_of.keys() | set(read_table(backgrounds, Frames)["key"])
    samples = [frame for frame in read_table(frames, Frames).iter_rows(named=True) if frame["key"] in wanted]

    def make(frame: dict[str, Any]) -> list[dict[str, Any] | Dropped]:
        return _make_sample(frame, regions_of.get(frame["key"], []), pictures, images, masks, settings, seed, degrade)

    rows: list[dict[str, Any]] = []
    with Ledger(ledger) as book, Ledger(mosaic_ledger) as mosaic_book, ThreadPoolExecutor(threads) as pool:
        for frame, made in ahead(pool, make, progress(samples, unit="frames"), 2 * threads):
            of_frame = regions_of.get(frame["key"], [])
            outcomes: list[dict[str, Any] | Dropped] = [Failed("its frame is unusable")] * len(of_frame)
            with book.item(frame["key"]) as note:
                outcomes = made.result()
                lost = [outcome.reason for outcome in outcomes if isinstance(outcome, Dropped)]
                note["reason"] = "; ".join(sorted(set(lost)))
                if lost and len(lost) == len(outcomes):
                    raise Dropped("no region is left", note["reason"])
            for region, outcome in zip(of_frame, outcomes, strict=True):
                with mosaic_book.item(f"{frame['key']}#{region['number']}"):
                    if isinstance(outcome, Dropped):
                        raise outcome
                    rows.append(outcome)
    write_table(pl.DataFrame(rows, schema=types(Mosaics)), Mosaics, table)


def _make_sample(
    frame: dict[str, Any],
    regions: list[dict[str, Any]],
    pictures: Path,
    images: Path,
    masks: Path,
    settings: MosaicSettings,
    seed: int,
    degrade: Degrade,
) -> list[dict[str, Any] | Dropped]:
    """Store the sample of `frame`, and return for each of `regions` a row of `tables.Mosaics` or the reason for its absence.

    If there are regions and none gets a mosaic, nothing is stored. Raises `Dropped` if backgrounds are not wanted.
    """
    key = frame["key"]
    if not regions and not settings.backgrounds:
        raise Dropped("background not used", "`mosaics.backgrounds` is 0")
    picture = read_image(pictures / frame["file"])
    image = shrink(picture, settings.max_side)
    values = np.zeros(image.shape[:2], np.uint8)
    outcomes: list[dict[str, Any] | Dropped] = []
    blocks: list[int] = []
    for region in regions:
        try:
            mask = _region_mask(region, picture.shape[0], picture.shape[1], settings)
            mosaic = draw_mosaic(generator(seed, "mosaics", f"{key}#{region['number']}"), mask, _of_label(settings, region))
            drawn = image.copy()
            shown = cover(drawn, mask, mosaic)
            count = whole_blocks(shown, mosaic)
            if not count:
                raise Dropped("no whole block", f"blocks of {mosaic.width} by {mosaic.height} pixels")
        except Dropped as fault:
            outcomes.append(fault)
            continue
        image = drawn
        values[shown > 0] = VALUES[region["label"]]
        blocks.append(mosaic.height)
        outcomes.append(_row(region, mosaic, shown, count, settings, seed))
    if regions and not blocks:
        return outcomes
    if not regions:
        blocks.append(_imagine_block(generator(seed, "mosaics", key), values, settings))
    image = degrade(image, rng=generator(seed, "degradations", key), block=min(blocks))
    # `with_suffix` would cut off what follows a dot in the key.
    write_image(images / f"{key}.jpg", image, settings.quality)
    write_image(masks / f"{key}.png", values)
    return outcomes


def _region_mask(region: dict[str, Any], height: int, width: int, settings: MosaicSettings) -> np.ndarray:
    """Return the mask of `region` at the size of the sample: uint8 (H, W), 0 or 255.

    `height`, `width`: size of the original picture, in pixels. Raises `Failed` if the label or the run lengths are invalid, and
    `Dropped` if the region is too small.
    """
    import cv2

    if region["label"] not in VALUES:
        raise Failed("unknown label", f"{region['label']!r}; known labels are {', '.join(VALUES)}")
    if region["rle"] is None:
        raise Failed("region without run lengths")
    try:
        mask = decode_rle(region["rle"], height, width)
    except ValueError as error:
        raise Failed("region does not match its frame", str(error)) from None
    mask = cv2.threshold(shrink(mask, settings.max_side), 127, 255, cv2.THRESH_BINARY)[1]
    x0, y0, x1, y1 = mask_box(mask)
    if min(x1 - x0, y1 - y0) < settings.min_side:
        raise Dropped("smaller than min_side", f"{x1 - x0:g} by {y1 - y0:g} pixels; {settings.min_side} are needed")
    return mask


def _of_label(settings: MosaicSettings, region: dict[str, Any]) -> MosaicSettings:
    """Return `settings` with the block sizes for the label of `region`."""
    if region["label"] == "nsfw":
        return settings
    return settings.model_copy(update={"scale": settings.sfw_scale, "min_block": settings.sfw_min_block})


def _imagine_block(rng: np.random.Generator, empty: np.ndarray, settings: MosaicSettings) -> int:
    """Return the block height of a random mosaic that a background might have had, in pixels.

    The degradation depends on the block height. Without this value, backgrounds would be degraded differently, and a detector
    could recognise them by that alone.
    """
    height, width = (max(1, round(side * rng.uniform(0.1, 0.6))) for side in empty.shape)
    mask = empty.copy()
    mask[:height, :width] = 255
    return draw_mosaic(rng, mask, settings).height


def _row(
    region: dict[str, Any], mosaic: Mosaic, shown: np.ndarray, whole: int, settings: MosaicSettings, seed: int
) -> dict[str, Any]:
    x0, y0, x1, y1 = map(int, mask_box(shown))
    return {
        "key": region["key"],
        "number": region["number"],
        "label": region["label"],
        "version": settings.version,
        "type": mosaic.type,
        "block_width": mosaic.width,
        "block_height": mosaic.height,
        "whole_blocks": whole,
        "feather": mosaic.feather,
        "dilation": mosaic.dilation,
        "incomplete": mosaic.incomplete,
        "anchor": settings.anchor,
        "origin_x": mosaic.origin[0],
        "origin_y": mosaic.origin[1],
        "x0": x0,
        "y0": y0,
        "x1": x1,
        "y1": y1,
        "seed": seed,
    }
