"""Make samples for mosaic detection: frames with mosaics, and masks of these mosaics."""

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl

from tessera.core.errors import Dropped, Failed
from tessera.core.ledger import Ledger
from tessera.core.pool import ahead
from tessera.core.progress import progress
from tessera.core.seeds import generator
from tessera.imaging.boxes import mask_box
from tessera.imaging.degradation.chain import Degraded
from tessera.imaging.images import read_image, resize, shrink, write_image
from tessera.imaging.masks import decode_rle
from tessera.imaging.mosaic.blocks import Mosaic, cover, whole_blocks
from tessera.imaging.mosaic.drawing import draw_mosaic
from tessera.imaging.mosaic.faint import Faint, blur_region, cover_bar, darken_region, draw_faint, draw_scale
from tessera.imaging.mosaic.settings import MIN_BLOCK, VALUES, MosaicSettings
from tessera.records.tables.annotation import Annotations
from tessera.records.tables.footage import Frames
from tessera.records.tables.mosaics import Mosaics
from tessera.records.tables.table import read_table, types, write_table

UNCOVERED = "mosaics uncovered"  # the stage of the generators that decide which frames get no mosaic
FAINT = "mosaics faint"  # the stage of the generators that decide what makes mosaics hard to see


class Degrade(Protocol):
    """A function that degrades a picture after the mosaics are drawn."""

    def __call__(self, image: np.ndarray, /, *, rng: np.random.Generator, block: float) -> Degraded:
        """Degrade a copy of `image`, uint8 (H, W, 3), RGB. `block`: height of its mosaic blocks in pixels."""


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
    without a mosaic, unless `settings.backgrounds` is 0, and so does the fraction `settings.uncovered` of the frames with
    regions. Each picture is scaled down and its regions are pixelated. Some pictures are pixelated at another size and then
    scaled to that of the sample. Then `degrade` is applied, with the height of the smallest block.

    The folders `images` and `masks` get one JPEG and one PNG file per sample, named after the key of the frame. Pixels of the
    mask that `cover` returns have the value of the label; a later region overwrites an earlier one. `table`
    (`tables.Mosaics`) gets one row per mosaic, `ledger` one per frame, and `mosaic_ledger` one per region, with the key
    `KEY#NUMBER`. The result does not depend on the number of `threads`.
    """
    import cv2

    cv2.setNumThreads(1)  # frames are already processed in parallel threads
    images.mkdir()
    masks.mkdir()
    regions_of: dict[str, list[dict[str, Any]]] = {}
    for region in read_table(regions, Annotations).sort("key", "number").iter_rows(named=True):
        regions_of.setdefault(region["key"], []).append(region)
    wanted = regions_of.keys() | set(read_table(backgrounds, Frames)["key"])
    samples = [frame for frame in read_table(frames, Frames).iter_rows(named=True) if frame["key"] in wanted]

    uncovered = {
        key for key in regions_of if settings.backgrounds and generator(seed, UNCOVERED, key).random() < settings.uncovered
    }

    def make(frame: dict[str, Any]) -> list[dict[str, Any] | Dropped]:
        frame_regions = regions_of.get(frame["key"], [])
        covered = [] if frame["key"] in uncovered else frame_regions
        outcomes = _make_sample(frame, covered, pictures, images, masks, settings, seed, degrade)
        if covered:
            return outcomes
        return [Dropped("frame left uncovered", "`mosaics.uncovered` of such frames")] * len(frame_regions)

    rows: list[dict[str, Any]] = []
    with Ledger(ledger) as entries, Ledger(mosaic_ledger) as mosaic_entries, ThreadPoolExecutor(threads) as pool:
        for frame, making in ahead(pool, make, progress(samples, unit="frames"), 2 * threads):
            frame_regions = regions_of.get(frame["key"], [])
            outcomes: list[dict[str, Any] | Dropped] = [Failed("its frame is unusable")] * len(frame_regions)
            with entries.item(frame["key"]) as note:
                outcomes = making.result()
                lost = [outcome.reason for outcome in outcomes if isinstance(outcome, Dropped)]
                note["reason"] = "; ".join(sorted(set(lost)))
                if lost and len(lost) == len(outcomes) and frame["key"] not in uncovered:
                    raise Dropped("no region is left", note["reason"])
            for region, outcome in zip(frame_regions, outcomes, strict=True):
                with mosaic_entries.item(f"{frame['key']}#{region['number']}"):
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
    sample = shrink(picture, settings.max_side)
    height, width = sample.shape[:2]
    # A generator of its own, and those of the regions below: other draws do not depend on these settings.
    scale = draw_scale(generator(seed, FAINT, key), settings)
    image = sample if scale == 1 else resize(picture, max(1, round(height / scale)), max(1, round(width / scale)))
    values = np.zeros((height, width), np.uint8)
    outcomes: list[dict[str, Any] | Dropped] = []
    blocks: list[float] = []
    for region in regions:
        name = f"{key}#{region['number']}"
        region_settings = _label_settings(settings, region["label"], scale)
        try:
            mask = _region_mask(region, picture, image, scale, settings)
            faint = draw_faint(generator(seed, FAINT, name), settings)
            mosaic = draw_mosaic(
                generator(seed, "mosaics", name), mask, region_settings, block=_fine_block(faint, settings, scale)
            )
            drawn = image.copy()
            shown, count = _cover(drawn, mask, mosaic, faint, scale)
            _check_visible(image, drawn, shown, settings.min_change)
        except Dropped as fault:
            outcomes.append(fault)
            continue
        image = drawn
        shown = _binary(resize(shown, height, width))
        values[shown > 0] = VALUES[region["label"]]
        blocks.append(mosaic.height * scale)
        outcomes.append(_row(region, mosaic, faint, scale, shown, count, settings, seed))
    if regions and not blocks:
        return outcomes
    if not regions:
        blocks.append(_imagine_block(key, image.shape[:2], scale, settings, seed))
    image, operations = degrade(resize(image, height, width), rng=generator(seed, "degradations", key), block=min(blocks))
    for outcome in outcomes:
        if not isinstance(outcome, Dropped):
            outcome["degradations"] = operations
    # `with_suffix` would cut off what follows a dot in the key.
    write_image(images / f"{key}.jpg", image, settings.quality)
    write_image(masks / f"{key}.png", values)
    return outcomes


def _region_mask(
    region: dict[str, Any], picture: np.ndarray, image: np.ndarray, scale: float, settings: MosaicSettings
) -> np.ndarray:
    """Return the mask of `region` at the size of `image`: uint8 (H, W), 0 or 255.

    `picture`: the original. `scale`: the factor by which `image` becomes the sample. Raises `Failed` if the label or the run
    lengths are invalid, and `Dropped` if the region is too small.
    """
    if region["label"] not in VALUES:
        raise Failed("unknown label", f"{region['label']!r}; known labels are {', '.join(VALUES)}")
    if region["rle"] is None:
        raise Failed("region without run lengths")
    try:
        mask = decode_rle(region["rle"], *picture.shape[:2])
    except ValueError as error:
        raise Failed("region does not match its frame", str(error)) from None
    mask = _binary(resize(mask, *image.shape[:2]))
    x0, y0, x1, y1 = mask_box(mask)
    across, down = (x1 - x0) * scale, (y1 - y0) * scale
    if min(across, down) < settings.min_side:
        raise Dropped("smaller than min_side", f"{across:.4g} by {down:.4g} pixels; {settings.min_side} are needed")
    return mask


def _binary(mask: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.threshold(mask, 127, 255, cv2.THRESH_BINARY)[1]


def _label_settings(settings: MosaicSettings, label: str, scale: float) -> MosaicSettings:
    """Return `settings` with the block sizes for `label`, in pixels of a frame that is scaled by `scale` afterwards."""
    if label == "nsfw":
        return settings.model_copy(update={"min_block": _least_block(settings.min_block, scale)})
    return settings.model_copy(update={"scale": settings.sfw_scale, "min_block": _least_block(settings.sfw_min_block, scale)})


def _least_block(size: float, scale: float) -> int:
    """Return the least height of blocks, in pixels, of which at least `size` are left after the frame is scaled by `scale`."""
    return max(MIN_BLOCK, math.ceil(size / scale))


def _fine_block(faint: Faint, settings: MosaicSettings, scale: float) -> int | None:
    """Return the height of a block that `faint` asks for, in pixels of a frame that is scaled by `scale` afterwards."""
    return None if faint.block is None else max(_least_block(settings.fine_block[0], scale), round(faint.block / scale))


def _cover(image: np.ndarray, mask: np.ndarray, mosaic: Mosaic, faint: Faint, scale: float) -> tuple[np.ndarray, int | None]:
    """Draw `mosaic`, or the bar of `faint`, on `image` in place; return where it shows and its number of whole blocks.

    Raises `Dropped` if there is no whole block.
    """
    if faint.bar is not None:
        return cover_bar(image, mask, faint.bar, MIN_BLOCK / scale), None
    shown = cover(image, mask, mosaic)
    count = whole_blocks(shown, mosaic)
    if not count:
        raise Dropped("no whole block", f"blocks of {mosaic.width} by {mosaic.height} pixels")
    if faint.blur:
        blur_region(image, shown, faint.blur * mosaic.height)
    if faint.brightness < 1:
        darken_region(image, shown, faint.brightness)
    return shown, count


def _check_visible(image: np.ndarray, drawn: np.ndarray, shown: np.ndarray, least: float) -> None:
    """Raise `Dropped` if a mosaic where `shown` is set changed `image` to `drawn` by less than `least` levels."""
    change = drawn[shown > 0].astype(np.float64) - image[shown > 0]
    size = float(np.sqrt((change**2).mean()))
    if size < least:
        raise Dropped("mosaic not visible", f"it changes pixels by {size:.2g} levels; `min_change` is {least:g}")


def _imagine_block(key: str, size: tuple[int, ...], scale: float, settings: MosaicSettings, seed: int) -> float:
    """Return the block height of a random mosaic that the background `key` might have had, in pixels of the sample.

    `size`: the height and width of the frame before it is scaled by `scale`. The degradation depends on the block height.
    Without this value, backgrounds would be degraded differently, and a detector could recognise them by that alone.
    """
    rng = generator(seed, "mosaics", key)
    height, width = (max(1, round(side * rng.uniform(0.1, 0.6))) for side in size)
    mask = np.zeros(size, np.uint8)
    mask[:height, :width] = 255
    block = _fine_block(draw_faint(generator(seed, FAINT, f"{key}#"), settings), settings, scale)
    return draw_mosaic(rng, mask, _label_settings(settings, "nsfw", scale), block=block).height * scale


def _row(
    region: dict[str, Any],
    mosaic: Mosaic,
    faint: Faint,
    scale: float,
    shown: np.ndarray,
    block_count: int | None,
    settings: MosaicSettings,
    seed: int,
) -> dict[str, Any]:
    x0, y0, x1, y1 = map(int, mask_box(shown))
    of_blocks = {
        "type": mosaic.type,
        "block_width": mosaic.width * scale,
        "block_height": mosaic.height * scale,
        "feather": mosaic.feather * scale,
        "dilation": mosaic.dilation * scale,
        "incomplete": mosaic.incomplete,
        "origin_x": mosaic.origin[0] * scale,
        "origin_y": mosaic.origin[1] * scale,
    }
    of_bar = {"type": "bar", "feather": 0, "dilation": 0, "incomplete": False, "origin_x": 0, "origin_y": 0}
    bar = faint.bar
    return {
        "key": region["key"],
        "number": region["number"],
        "label": region["label"],
        "version": settings.version,
        **(of_blocks if bar is None else of_bar),
        "whole_blocks": block_count,
        "anchor": settings.anchor,
        "fine": faint.block is not None,
        "scale": scale,
        "blur": faint.blur * mosaic.height * scale,
        "brightness": faint.brightness,
        "bar_colour": bar and bar.colour,
        "bar_thickness": bar and bar.thickness,
        "bar_opacity": bar and bar.opacity,
        "x0": x0,
        "y0": y0,
        "x1": x1,
        "y1": y1,
        "seed": seed,
    }
