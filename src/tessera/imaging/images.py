"""Read and write images."""

import hashlib
import io
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from tessera.core.errors import Failed
from tessera.core.files import IMAGE_FORMATS, open_file, quoted
from tessera.core.ledger import SYSTEMIC
from tessera.imaging.containers import MAX_PIXELS

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

SUFFIX = {"jpeg": ".jpg", "png": ".png"}  # of the formats that pictures are stored in
MAX_BYTES = 2**30  # of an image file
MAX_PROFILE = 2**22  # bytes of a colour profile; those of printers have up to 3 MB
SAME_COLOURS = 2  # levels by which a profile may differ from sRGB and still counts as sRGB
# The suffixes of the formats that every program reads alike, unless something has to be converted.
PLAIN = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp"}
LOSSY = {"JPEG", "MPO", "WEBP", "AVIF", "HEIF"}
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # how such a file begins
SOME = "save it again as JPEG or PNG, or leave it out"
# EXIF orientation: degrees counter-clockwise that turn the picture upright; 2, 4, 5 and 7 are mirrored as well.
UPRIGHT: Mapping[int, int] = MappingProxyType({3: 180, 4: 180, 5: 270, 6: 270, 7: 90, 8: 90})
SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}  # the colour space of a profile by the mode of Pillow


@dataclass(frozen=True)
class Decoded:
    """An image that was read.

    `pixels`: uint8 (H, W, 3), RGB. `format`, `mode`: what Pillow calls those of the file. `rotation`: degrees by which the
    picture was turned, counter-clockwise. `remark`: what of the file was left out, such as a colour profile that is broken;
    mostly empty. `is_plain`: whether other programs read the same pixels, even if they ignore profiles and orientations.
    """

    pixels: np.ndarray
    format: str
    mode: str
    rotation: int
    remark: str
    is_plain: bool

    @property
    def is_lossy(self) -> bool:
        """Return whether the format compresses with losses."""
        return self.format in LOSSY


def read_image(path: Path) -> np.ndarray:
    """Return the image `path`: uint8 (H, W, 3), RGB. See `decode_image`. Raises `Failed` if it cannot be read."""
    return decode_image(read_file(path), quoted(path)).pixels


def is_image(path: Path) -> bool:
    """Return whether the file `path` is an image of any kind, even if it is damaged. Raises `Failed` if it cannot be opened.

    An animated GIF is none: as footage, it is a video.
    """
    from PIL import Image, UnidentifiedImageError

    with open_file(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = Image.open(file, formats=_formats())
            return not (image.format == "GIF" and getattr(image, "is_animated", False))
        except UnidentifiedImageError:
            file.seek(0)
            return file.read(4) in TIFF
        except MemoryError:
            raise
        except Exception:  # on hostile bytes, decoders raise exceptions of many types
            return True


def read_known(path: Path, sha256: str) -> np.ndarray:
    """Return the image `path` as `read_image` does. Raises `Failed` if the file no longer has the `sha256` that was checked."""
    content = read_file(path)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise Failed("changed since it was checked", f"{quoted(path)}: let it be, and run again")
    return decode_image(content, quoted(path)).pixels


def read_file(path: Path) -> bytes:
    """Return the content of the image file `path`. Raises `Failed` if it cannot be read or exceeds `MAX_BYTES`."""
    with open_file(path) as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise Failed("file too large", f"{quoted(path)}: {MAX_BYTES:,} bytes are allowed; scale the picture down")
    return content


def decode_image(content: bytes, name: str, *, keep_alpha: bool = False) -> Decoded:
    """Return the picture in the image file `content`, as a viewer shows it.

    The EXIF orientation is applied. A colour profile is converted to sRGB; one that is broken, or of other colours than the
    picture, is ignored with a remark. CMYK without a profile is converted as browsers do. Transparency is drawn over white or,
    if `keep_alpha` is true, returned as a fourth channel. 16-bit values are reduced to their upper 8 bits.

    A file must hold one picture: an animation, or a TIFF with several pages, is refused, wherever it is read. Smaller copies
    of a page do not count, nor do the further pictures of an MPO file, which are previews or depth maps.

    Raises `Failed`, with `name` in its message, if the file is not an image, cannot be decoded, holds several pictures, has
    more than `MAX_PIXELS`, or has values of unknown range: floating-point numbers, or integers that are signed or of 32 bits.
    """
    from PIL import Image, UnidentifiedImageError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # errors are raised anyway
        try:
            image = Image.open(io.BytesIO(content), formats=_formats())
            kind, mode = str(image.format), image.mode
            _require_one_picture(image)
            orientation, remark = _orientation(image)
            image.load()
            upright = _upright(image, orientation)
            pixels, change, fault = _to_rgb(upright, _tiff_tags(image), keep_alpha)
        except MemoryError:
            raise
        except _SeveralPictures:
            fix = "convert it to a video or a folder of images, or keep one of them"
            raise Failed("several pictures in one image", f"{name}: {fix}") from None
        except Image.DecompressionBombError:
            raise Failed("image too large", f"{name} has more than {MAX_PIXELS:,} pixels; scale it down") from None
        except UnidentifiedImageError:  # its message contains the address of the file object, which differs in each run
            kinds = f"none of {', '.join(IMAGE_FORMATS)}"
            if content[:4] in TIFF:
                kinds = "a TIFF with pixels that cannot be shown, such as floating-point numbers or five channels"
            raise Failed("image cannot be decoded", f"{name} is {kinds}; convert it") from None
        except Exception as error:  # on hostile bytes, decoders raise exceptions of many types
            if isinstance(error, OSError) and error.errno in SYSTEMIC:
                raise
            raise Failed("image cannot be decoded", f"{name}: {' '.join(str(error).split())}; {SOME}") from error
    is_plain = kind in PLAIN and mode in {"RGB", "L", "P", "1"} and not change and orientation == 1
    return Decoded(pixels, kind, mode, UPRIGHT.get(orientation, 0), "; ".join(filter(None, (remark, fault))), is_plain)


class _SeveralPictures(Exception):
    """A file holds an animation or several pages."""


@cache
def _formats() -> tuple[str, ...]:
    """Return `IMAGE_FORMATS`, after what Pillow lacks has been added to it: HEIC, and 16-bit TIFF with white as zero."""
    import pi_heif
    from PIL import TiffImagePlugin

    pi_heif.register_heif_opener()
    TiffImagePlugin.OPEN_INFO[b"MM", 0, (1,), 1, (16,), ()] = ("I;16B", "I;16B")
    return IMAGE_FORMATS


def _require_one_picture(image: "PillowImage") -> None:
    """Raise `_SeveralPictures` if `image` is an animation, or a TIFF with several pages; of its smaller copies, select none."""
    if image.format == "TIFF":
        _select_page(image)
    elif image.format != "MPO" and getattr(image, "is_animated", False):
        raise _SeveralPictures


def _select_page(image: Any) -> None:
    pages = [0]
    if image.is_animated:
        pages = []
        with suppress(EOFError):
            for number in count():
                image.seek(number)
                if not int(image.tag_v2.get(254, 0)) & 0b101:  # NewSubfileType: neither a smaller copy nor a mask
                    pages.append(number)
                if len(pages) > 1:
                    raise _SeveralPictures
        image.seek(pages[0] if pages else 0)
    tags = image.tag_v2
    if 2 in tags.get(339, ()):  # SampleFormat
        raise ValueError("its pixels are signed integers of unknown range")
    if (tags.get(284, 1), tags.get(259, 1)) == (2, 1) and 16 in tags.get(258, ()):
        raise ValueError("its 16-bit channels lie apart and are not compressed")  # Pillow mixes their bytes up


def _orientation(image: "PillowImage") -> tuple[int, str]:
    """Return the EXIF orientation of `image`, 1 if it has none, and a remark."""
    try:
        orientation = image.getexif().get(0x0112, 1)
    except MemoryError:
        raise
    except Exception:  # a broken block of EXIF does not spoil the picture
        return 1, "its EXIF is broken, so that it may be turned"
    return orientation if orientation in range(1, 9) else 1, ""


def _upright(image: "PillowImage", orientation: int) -> "PillowImage":
    """Return the loaded `image`, turned upright. Not by `ImageOps.exif_transpose`, which also writes all EXIF again."""
    from PIL import Image

    if image.format == "TIFF" and _orientation(image)[0] == 1:
        return image  # Pillow has turned it
    turn = Image.Transpose
    turns = {
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_270,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image


def _tiff_tags(image: Any) -> tuple[int, int]:
    """Return the photometric interpretation and the bits per sample of a TIFF `image`; 1 and 16 for others."""
    if image.format != "TIFF":
        return 1, 16
    bits = image.tag_v2.get(258, 16)
    return int(image.tag_v2.get(262, 1)), int(bits[0] if isinstance(bits, tuple) else bits)


def _to_rgb(image: "PillowImage", tiff: tuple[int, int], keep_alpha: bool) -> tuple[np.ndarray, bool, str]:
    """Return `image` in 8-bit sRGB, with alpha if `keep_alpha` is true; whether other programs may read it otherwise; a remark.

    Raises `ValueError` if its values have no known range.
    """
    from PIL import Image

    mode, info = image.mode, image.info
    if mode.startswith("I;16"):
        # `convert` would clip at 255 instead of scaling, and Pillow ignores that white may be zero.
        photometric, bits = tiff
        grey = np.asarray(image).astype(np.uint16)
        grey = (2**bits - 1) - grey if photometric == 0 else grey
        image = Image.fromarray((grey >> (bits - 8)).astype(np.uint8))
    elif mode == "I":
        raise ValueError("its pixels are 32-bit integers of unknown range")
    elif mode == "LAB":
        raise ValueError("its colours are CIELab, without a white point")
    elif mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range")
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
    if image.mode in {"1", "LA", "La"}:
        image = image.convert("L")
    elif image.mode not in SPACES:
        image = image.convert("RGB")
    image, converted, remark = _srgb(image, info.get("icc_profile"))
    if alpha is not None:
        image.putalpha(alpha)
    if keep_alpha:
        return np.array(image.convert("RGBA")), True, remark
    if alpha is not None:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image if image.mode == "RGB" else image.convert("RGB")), converted or alpha is not None, remark


def _srgb(image: "PillowImage", profile: bytes | None) -> tuple["PillowImage", bool, str]:
    """Return `image`, of mode RGB, L or CMYK, in RGB; whether its colours were converted by `profile`; and a remark."""
    from PIL import ImageCms

    if not profile:
        return image.convert("RGB") if image.mode != "RGB" else image, False, ""
    mode = image.mode
    transform, is_same, fault = _transform(profile, mode)
    if transform is None and mode == "L":
        # Many pictures in grey have a profile for RGB: the three channels are then equal.
        transform, is_same, other = _transform(profile, "RGB")
        fault = other and fault
        image = image.convert("RGB")
    if transform is not None and not is_same:
        shown = ImageCms.applyTransform(image, transform)
        assert shown is not None, "it is not in place"
        return shown, True, ""
    return image if image.mode == "RGB" else image.convert("RGB"), False, fault


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> tuple[Any, bool, str]:
    """Return the transform from `profile` to sRGB for pictures of `mode`, RGB, L or CMYK, and whether it changes nothing.

    If there is none, None is returned, with a remark that says why.
    """
    from PIL import Image, ImageCms

    if len(profile) > MAX_PROFILE:
        return None, False, f"its colour profile is ignored: it has {len(profile):,} bytes"
    try:
        source_profile = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source_profile.profile.xcolor_space
        if space != SPACES[mode]:
            return None, False, f"its colour profile is ignored: it is for {space.strip()}, the picture is {mode}"
        transform = ImageCms.buildTransform(source_profile, ImageCms.createProfile("sRGB"), mode, "RGB")
    except MemoryError:
        raise
    except Exception as error:  # a profile is data of others, too
        return None, False, f"its colour profile is ignored: it is broken ({' '.join(str(error).split())[:80]})"
    if mode != "RGB":
        return transform, False, ""
    levels = np.linspace(0, 255, 18).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    shown = ImageCms.applyTransform(Image.fromarray(colours), transform)
    difference = np.abs(np.asarray(shown).astype(int) - colours).max()
    return transform, bool(difference <= SAME_COLOURS), ""


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
