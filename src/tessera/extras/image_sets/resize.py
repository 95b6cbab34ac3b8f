"""Scale the pictures of an image set down, and encode them once."""

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from math import inf, isqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from tessera.core.errors import Failed, TesseraError
from tessera.core.files import link_or_copy
from tessera.core.pool import ahead
from tessera.core.progress import progress
from tessera.core.provenance import digest, sha256_file
from tessera.core.store import Store
from tessera.extras.image_sets.settings import PictureSettings
from tessera.imaging.images import read_image
from tessera.records.tables.image_sets import ResizedPictures, SetPictures
from tessera.records.tables.table import read_table, types, write_table

if TYPE_CHECKING:
    import numpy as np

SUFFIX = {"webp": ".webp", "jpeg": ".jpg", "png": ".png"}
LONGEST = {"webp": 16383, "jpeg": 65535, "png": inf}  # pixels of a side that the formats can have
# Colours in JPEG keep their resolution. The others are the defaults of Pillow, stated because the results depend on them.
OPTIONS: dict[str, dict[str, Any]] = {"webp": {"method": 4}, "jpeg": {"subsampling": 0}, "png": {"compress_level": 6}}


def resized(width: int, height: int, settings: PictureSettings) -> tuple[int, int]:
    """Return the size to which a picture of `width` by `height` pixels is scaled down.

    `shorter`: that side has exactly this many pixels, and the other is rounded down. `area`: the largest size of the same
    shape with at most this many pixels. A picture that is small enough keeps its size. Both sides are then rounded down to a
    multiple of `multiple_of`. Computed with whole numbers, because a factor that is rounded makes some sides too short by one.
    """
    short = min(width, height)
    if settings.shorter is not None and short > settings.shorter:
        width, height = width * settings.shorter // short, height * settings.shorter // short
    elif settings.area is not None and width * height > settings.area:
        width, height = isqrt(settings.area * width // height), isqrt(settings.area * height // width)
    multiple = settings.multiple_of
    # A picture that is long and thin may have no pixel left in its shorter side.
    return max(multiple, width // multiple * multiple), max(multiple, height // multiple * multiple)


def encode(image: "np.ndarray", settings: PictureSettings) -> tuple[bytes, int, int]:
    """Return `image`, uint8 (H, W, 3), RGB, scaled down and encoded, and its new width and height.

    Where `multiple_of` changes the shape, the middle of the picture is used, so that nothing is distorted. Equal images give
    equal bytes.
    """
    from PIL import Image

    height, width = image.shape[:2]
    size = resized(width, height, settings)
    picture = Image.fromarray(image)
    if size != (width, height):
        # The largest part of the picture that has the new shape.
        factor = min(width / size[0], height / size[1])
        left, top = (width - size[0] * factor) / 2, (height - size[1] * factor) / 2
        box = (max(0.0, left), max(0.0, top), min(float(width), width - left), min(float(height), height - top))
        is_whole = settings.multiple_of == 1
        picture = picture.resize(size, Image.Resampling.LANCZOS, box=None if is_whole else box)
    content = BytesIO()
    picture.save(content, settings.format, quality=settings.quality, **OPTIONS[settings.format])
    return content.getvalue(), *size


def resize_set(
    selected: Path,
    cache: Path,
    settings: PictureSettings,
    *,
    code: str,
    threads: int,
    images: Path,
    table: Path,
) -> None:
    """Write the pictures of the set `selected` (`tables.SetPictures`), scaled down and encoded, to the folder `images`.

    `table`: output, `tables.ResizedPictures`, sorted by key. Each picture is stored in the folder `cache` of a `Store`, under a
    digest of its file, the settings and `code`, and linked from there. The result does not depend on the number of `threads`.

    Raises `TesseraError` if a picture is missing or damaged, or if a side is too long for the format.
    """
    store = Store(cache, "pictures")
    suffix = SUFFIX[settings.format]

    def work(row: dict[str, Any]) -> str:
        path = Path(row["path"])
        size = resized(row["width"], row["height"], settings)
        if max(size) > LONGEST[settings.format]:
            longest = f"{settings.format} has at most {LONGEST[settings.format]:g} pixels per side"
            raise TesseraError(
                f"{path}: {size[0]} by {size[1]} pixels, and {longest}; set `pictures.format: png`, or a smaller size"
            )
        try:
            # With the key, so that no two threads make one item.
            name = digest([row["key"], sha256_file(path), settings.model_dump(mode="json"), code])
            if not store.holds(name):
                content, *_ = encode(read_image(path), settings)
                with store.make(name) as folder:
                    (folder / f"picture{suffix}").write_bytes(content)
        except (Failed, FileNotFoundError) as error:
            reason = error.detail if isinstance(error, Failed) else "it is missing"
            raise TesseraError(f"the picture {row['key']!r}: {path}: {reason}; delete its folder and run again") from None
        return name

    rows = read_table(selected, SetPictures).sort("key").to_dicts()
    made, used = [], set()
    images.mkdir()
    with ThreadPoolExecutor(threads) as pool:
        for row, name in ahead(pool, work, progress(rows, unit="pictures"), 2 * threads):
            file = f"{row['key']}{suffix}"
            link_or_copy(store.item(name.result()) / f"picture{suffix}", images / file)
            used.add(name.result())
            width, height = resized(row["width"], row["height"], settings)
            made.append({"key": row["key"], "file": file, "width": width, "height": height})
    write_table(pl.DataFrame(made, schema=types(ResizedPictures)), ResizedPictures, table)
    store.keep(used)
