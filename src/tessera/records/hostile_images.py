"""Images of others, which are hostile until they are checked."""

from pathlib import Path

import numpy as np

from tessera.core.errors import Dropped, Failed
from tessera.core.files import IMAGE_FORMATS, open_file
from tessera.core.provenance import sha256_file
from tessera.core.web import is_page
from tessera.imaging.images import read_image
from tessera.records.blocklist import Blocklist

MAX_PIXELS = 100_000_000  # of an image
LEAST_SIDE = 10  # pixels; ultralytics leaves smaller images out


def check_image(path: Path, name: str, listed: Blocklist, distance: int) -> np.ndarray:
    """Return the image `path`, uint8 (H, W, 3), RGB. Raises `Failed` or `Dropped`, with its `name`, if it cannot be used."""
    from PIL import Image, UnidentifiedImageError

    with open_file(path) as file:
        start = file.read(512)
    if is_page(start):
        raise Failed("image is HTML", f"{name} is a web page; fetch the image again")
    listed.check_file(sha256_file(path), name)
    try:
        with Image.open(path, formats=IMAGE_FORMATS) as header:
            width, height = header.size
    except MemoryError:
        raise
    except UnidentifiedImageError:  # its text contains a temporary path
        raise Failed("image cannot be decoded", f"{name} is none of {', '.join(IMAGE_FORMATS)}; convert it") from None
    except Exception as error:  # decoders raise exceptions of many types for hostile bytes
        raise Failed("image cannot be decoded", f"{name}: {error}; save it again") from None
    if width * height > MAX_PIXELS:
        raise Failed("image too large", f"{name} has {width} by {height} pixels, {MAX_PIXELS:,} are allowed; scale it down")
    if min(width, height) < LEAST_SIDE:
        raise Dropped("image too small", f"{name} has {width} by {height} pixels; {LEAST_SIDE} a side are needed")
    picture = read_image(path, name.strip("'"))
    listed.check_picture(picture, name, distance)
    return picture
