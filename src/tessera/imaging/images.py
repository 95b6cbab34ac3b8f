"""Read and write images."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tessera.core.errors import Failed
from tessera.core.files import open_file
from tessera.core.ledger import SYSTEMIC
from tessera.imaging.containers import IMAGE_FORMATS

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage


def read_image(path: Path) -> np.ndarray:
    """Return the image `path`, upright as its EXIF orientation says: uint8 (H, W, 3), RGB.

    Of 16 bits the upper 8 stay; what is transparent shows white, as viewers show it; of several pictures in one file the first
    is read. Raises `Failed` where there is no image, it cannot be decoded, or it has so many pixels that it is an attack.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    with open_file(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what matters is raised
        try:
            image = Image.open(file, formats=IMAGE_FORMATS)
            image.load()
            return _rgb(ImageOps.exif_transpose(image))
        except MemoryError:
            raise
        except UnidentifiedImageError:  # whose text is made of the file object, never the same twice
            raise Failed("image cannot be decoded", f"none of {', '.join(IMAGE_FORMATS)}") from None
        except Exception as error:  # decoders meet hostile bytes with exceptions of many kinds
            if isinstance(error, OSError) and error.errno in SYSTEMIC:
                raise
            raise Failed("image cannot be decoded", str(error)) from error


def write_image(path: Path, image: np.ndarray, quality: int = 95) -> None:
    """Write `image`, uint8 (H, W, 3), RGB, to `path` as its suffix says: `.png`, or `.jpg` at `quality` from 1 to 100.

    A mask, uint8 (H, W), is written as a grey image. Equal images give equal bytes. Raises `OSError` where writing fails, and
    `Failed` for a JPEG of which a side is too long.
    """
    import cv2

    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    # Not cv2.imwrite: it does not tell a full disk.
    options = [] if path.suffix == ".png" else [cv2.IMWRITE_JPEG_QUALITY, quality]
    encodes, encoded = cv2.imencode(path.suffix, image, options)
    if not encodes:
        height, width = image.shape[:2]
        raise Failed(
            "image cannot be encoded",
            f"{width} by {height} pixels, a JPEG has at most 65535 a side; set `frames.format: png` or `frames.max_side`",
        )
    path.write_bytes(encoded.tobytes())


def shrink(image: np.ndarray, max_side: int) -> np.ndarray:
    """Return `image` scaled down by area until no side is longer than `max_side` pixels; as it is where none is."""
    import cv2

    height, width = image.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1:
        return image
    return cv2.resize(image, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA)


def _rgb(image: "PillowImage") -> np.ndarray:
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits of grey, which `convert` would cut off at 255 instead of scaling
        grey = np.asarray(image)
        if grey.min() < 0 or grey.max() > 0xFFFF:
            raise Failed("image cannot be decoded", "more than 16 bits per pixel")
        image = Image.fromarray((grey >> 8).astype(np.uint8))
    elif image.mode == "F":
        raise Failed("image cannot be decoded", "its pixels are floating-point numbers, of no known range")
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image.convert("RGB"))
