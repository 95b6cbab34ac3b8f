"""Read and write images."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tessera.core.errors import Failed
from tessera.core.files import IMAGE_FORMATS, open_file
from tessera.core.ledger import SYSTEMIC

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

SUFFIX = {"jpeg": ".jpg", "png": ".png"}  # of the formats that pictures are stored in


def read_image(path: Path, name: str = "") -> np.ndarray:
    """Return the image `path`, turned upright by its EXIF orientation: uint8 (H, W, 3), RGB.

    16-bit values are reduced to their upper 8 bits. Transparency is drawn over white, as viewers do. If a file has several
    images, the first is read. Raises `Failed` if the file is not an image, cannot be decoded, or has so many pixels that
    Pillow takes it for a decompression bomb. Its message calls the file `name`, if this is given.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    name = name or str(path)
    with open_file(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # errors are raised anyway
        try:
            image = Image.open(file, formats=IMAGE_FORMATS)
            image.load()
            return _rgb(ImageOps.exif_transpose(image))
        except MemoryError:
            raise
        except UnidentifiedImageError:  # its message contains the address of the file object, which differs in each run
            raise Failed("image cannot be decoded", f"{name!r} is none of {', '.join(IMAGE_FORMATS)}; convert it") from None
        except Exception as error:  # on hostile bytes, decoders raise exceptions of many types
            if isinstance(error, OSError) and error.errno in SYSTEMIC:
                raise
            fix = "save it again as JPEG or PNG, or leave it out"
            raise Failed("image cannot be decoded", f"{name!r}: {error}; {fix}") from error


def write_image(path: Path, image: np.ndarray, quality: int = 95) -> None:
    """Write `image`, uint8 (H, W, 3), RGB, to `path` in the format of its suffix: `.png`, or `.jpg` at `quality` 1 to 100.

    A mask, uint8 (H, W), is written as a greyscale image. Equal images give equal bytes. Raises `OSError` if writing fails,
    and `Failed` if a side is too long for a JPEG.
    """
    import cv2

    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    # Not cv2.imwrite, which does not report a full disk.
    options = [] if path.suffix == ".png" else [cv2.IMWRITE_JPEG_QUALITY, quality]
    encodes, encoded = cv2.imencode(path.suffix, image, options)
    if not encodes:
        height, width = image.shape[:2]
        raise Failed(
            "image cannot be encoded",
            f"{width} by {height} pixels, but a JPEG has at most 65535 per side; set `frames.format: png` or `frames.max_side`",
        )
    path.write_bytes(encoded.tobytes())


def shrink(image: np.ndarray, max_side: int) -> np.ndarray:
    """Return `image` scaled down by area averaging until no side is longer than `max_side` pixels; unchanged if it fits."""
    import cv2

    height, width = image.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1:
        return image
    return cv2.resize(image, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA)


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return `image`, (H, W) or (H, W, C), with `height` by `width` pixels: by area if neither side grows, else bilinearly."""
    import cv2

    if image.shape[:2] == (height, width):
        return image
    method = cv2.INTER_AREA if height <= image.shape[0] and width <= image.shape[1] else cv2.INTER_LINEAR
    resized: np.ndarray = cv2.resize(image, (width, height), interpolation=method)
    return resized


def _rgb(image: "PillowImage") -> np.ndarray:
    """Return `image` in 8-bit colour. Raises `ValueError` if its values have no known range."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16-bit grey, which `convert` would clip at 255 instead of scaling
        grey = np.asarray(image)
        if grey.min() < 0 or grey.max() > 0xFFFF:
            raise ValueError("it has more than 16 bits per pixel")
        image = Image.fromarray((grey >> 8).astype(np.uint8))
    elif image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range")
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image.convert("RGB"))
