"""One picture in every kind of file that people have, and files that are none."""

import base64
import io
import struct
import zlib
from typing import Any

import numpy as np
import tifffile
from PIL import Image, ImageCms

PICTURE = np.kron(np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8), np.ones((8, 8, 1), np.uint8))  # (24, 32, 3)
GREY = np.stack([PICTURE[..., 0]] * 3, axis=2)
# `PICTURE` as HEIC, and twice in one file; made by pillow-heif, because pi-heif does not encode.
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAXxtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJpbG9jAA"
    "AAAERAAAEAAQAAAAABoAABAAAAAAAAANEAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA/GlwcnAA"
    "AADcaXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQApQgEBA3AAAAMAkA"
    "AAAwAAAwAeoCCBBZbqrprm4CGgwIAAAAyAAAADAIRiAAEABkQBwXPBiQAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAA"
    "AChjbGFwAAAAIAAAAAEAAAAYAAAAAf///+AAAAAC////2AAAAAIAAAAQcGl4aQAAAAADCAgIAAAAGGlwbWEAAAAAAAAAAQABBYECAwWEAAAA2W"
    "1kYXQAAADNKAGvBjIenBRQXUCjzP8jtF//5j39N+pxf/wgtvu153fOVgz/3K3vNpqXyL5DxhvVf/eSuMefa8H/x5A/tDRmK9BiGUW9d5rqbj7b"
    "Yij8P0Zl6zTp43HJCwP70HP6cviDb8ZGnoT8vYqhUZymNenrHsoNBd1ohs+HhQfV/qXo9XrFv2jeTk3ufgcJ3E+1aLI90EYhqq9yX0kln3U39D"
    "RCpM6xZ5OghV/4HuNY4q7hqFS1MFiqe8/YNUyBJTXnBtV8CahgC6Owca3GDzn3gA=="
)
TWO_HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAattZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAADRpbG9jAA"
    "AAAERAAAIAAQAAAAABzwABAAAAAAAAANEAAgAAAAACoAABAAAAAAAAARIAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAAABVp"
    "bmZlAgAAAAACAABodmMxAAAAAA5waXRtAAAAAAABAAABBGlwcnAAAADcaXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGE"
    "ABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQApQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbqrprm4CGgwIAAAAyAAAADAIRiAAEABkQBwXPBiQAA"
    "ABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAAAChjbGFwAAAAIAAAAAEAAAAYAAAAAf///+AAAAAC////2AAAAAIAAAAQcG"
    "l4aQAAAAADCAgIAAAAIGlwbWEAAAAAAAAAAgABBYECAwWEAAIFgQIDBYQAAAHrbWRhdAAAAM0oAa8GMh6cFFBdQKPM/yO0X//mPf036nF//CC2"
    "+7Xnd85WDP/cre82mpfIvkPGG9V/95K4x59rwf/HkD+0NGYr0GIZRb13mupuPttiKPw/RmXrNOnjcckLA/vQc/py+INvxkaehPy9iqFRnKY16e"
    "seyg0F3WiGz4eFB9X+pej1esW/aN5OTe5+BwncT7Vosj3QRiGqr3JfSSWfdTf0NEKkzrFnk6CFX/ge41jiruGoVLUwWKp7z9g1TIElNecG1XwJ"
    "qGALo7BxrcYPOfeAAAABDigBrwYyH8t1kF1Bcrrysv//z6j//So3+b+9k/fekl2/lRR188ojUZg/eVNZqAPEKL/7sWus6fP8cf/7bZ/7mwQ8zV"
    "xG/t/Xz/U4g9nzQx40qv30uTnEft5+WH0MDiaOC05IFKp36NR4m27QNmrVGcYqWNMTtbhW1pZGk7tv8XDXboaAYxH9P/tleeMlCXovezqPZon9"
    "qz/Gvvtd+I49LQq2sk9087e7h/ckbfv01N7T2c/eMezv/uBf/+ik0i8+vd+vI9Kt9r13dsvqERNCRC3oAJdCnVQR/0SYzZMiMcT90w7G6nSD/o"
    "CrNG1SpbzTEZS4UoX5ujJih6Z7R39EAfTbD+nPgHVFb6623NH2nA=="
)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return `image` in a file of the format `kind`, with as little loss as it can have."""
    best: dict[str, Any] = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    if kind == "AVIF":
        best = {"quality": 100, "subsampling": "4:4:4"}
    file = io.BytesIO()
    image.save(file, kind, **best, **options)
    return file.getvalue()


def tiff(*pages: np.ndarray, **options: Any) -> bytes:
    """Return a TIFF file of `pages`."""
    file = io.BytesIO()
    kinds = options.pop("subfiletypes", (0,) * len(pages))
    with tifffile.TiffWriter(file, byteorder=options.pop("byteorder", "<")) as writer:
        for page, kind in zip(pages, kinds, strict=True):
            writer.write(page, subfiletype=kind, **options)
    return file.getvalue()


def profile(red: tuple[float, ...], green: tuple[float, ...], blue: tuple[float, ...], gamma: float = 2.2) -> bytes:
    """Return a colour profile of a display with these primaries, XYZ adapted to D50."""

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + b"\0" * 79,
        b"cprt": b"text\0\0\0\0none\0\0\0\0",
        b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249),
        **{name: b"XYZ \0\0\0\0" + fixed(*value) for name, value in ((b"rXYZ", red), (b"gXYZ", green), (b"bXYZ", blue))},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    offset, table, body = 132 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(content))
        body += content + b"\0" * (-len(content) % 4)
    head = struct.pack(">I4xI4s4s4s12x4s28x", offset + len(body), 0x02400000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    head += fixed(0.9642, 1, 0.8249) + b"\0" * 48
    return head + struct.pack(">I", len(tags)) + table + body


DISPLAY_P3 = profile((0.5151, 0.2412, -0.0011), (0.2919, 0.6922, 0.0419), (0.1572, 0.0666, 0.7841))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def shown(image: np.ndarray, icc_profile: bytes) -> np.ndarray:
    """Return `image`, uint8 (H, W, 3), as LittleCMS shows it with this profile."""
    given = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
    found = ImageCms.profileToProfile(Image.fromarray(image), given, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert found is not None
    return np.asarray(found)


def bomb() -> bytes:
    """Return a small PNG of 60,000 by 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def without_adobe(jpeg: bytes) -> bytes:
    """Return `jpeg` without the marker that Adobe writes."""
    place = jpeg.index(b"Adobe")
    return jpeg[: place - 4] + jpeg[place - 2 + int.from_bytes(jpeg[place - 2 : place], "big") :]


def oriented(number: int) -> Image.Exif:
    """Return EXIF that states this orientation."""
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


IMAGE, OTHER = Image.fromarray(PICTURE), Image.fromarray(255 - PICTURE)
TWO: dict[str, Any] = {"save_all": True, "append_images": [OTHER]}
WIDE = PICTURE.astype(np.uint16) * 257
HALF = np.where(np.arange(32) < 16, 255, 0).astype(np.uint8)[None].repeat(24, 0)
SEEN = np.where(HALF[..., None] > 0, PICTURE, 255)
CUT = np.dstack([PICTURE, HALF])

# Each file, and the picture in it: uint8 (24, 32, 3) or turned.
GOOD: dict[str, tuple[bytes, np.ndarray]] = {
    "plain.jpg": (saved(IMAGE, "JPEG"), PICTURE),
    "plain.png": (saved(IMAGE, "PNG"), PICTURE),
    "plain.webp": (saved(IMAGE, "WEBP"), PICTURE),
    "plain.bmp": (saved(IMAGE, "BMP"), PICTURE),
    "plain.tif": (saved(IMAGE, "TIFF"), PICTURE),
    "still.gif": (saved(IMAGE, "GIF"), PICTURE),
    "still.jfif": (saved(IMAGE, "JPEG", comment="jfif"), PICTURE),
    "still.avif": (saved(IMAGE, "AVIF"), PICTURE),
    "still.heic": (HEIC, PICTURE),
    "misnamed.png": (saved(IMAGE, "JPEG", comment="misnamed"), PICTURE),
    "two.mpo": (saved(IMAGE, "MPO", quality=100, subsampling=0, **TWO), PICTURE),
    "cmyk.jpg": (saved(IMAGE.convert("CMYK"), "JPEG"), PICTURE),
    "cmyk without adobe.jpg": (without_adobe(saved(IMAGE.convert("CMYK"), "JPEG")), PICTURE),
    "16 bit.png": (saved(Image.fromarray(WIDE[..., 0]), "PNG"), GREY),
    "16 bit.tif": (tiff(WIDE, photometric="rgb"), PICTURE),
    "16 bit grey.tif": (tiff(WIDE[..., 0], photometric="minisblack"), GREY),
    "16 bit white is zero.tif": (tiff(65535 - WIDE[..., 0], photometric="miniswhite"), GREY),
    "16 bit white is zero, motorola.tif": (tiff(65535 - WIDE[..., 0], photometric="miniswhite", byteorder=">"), GREY),
    "8 bit white is zero.tif": (tiff(255 - PICTURE[..., 0], photometric="miniswhite"), GREY),
    "thumbnail.tif": (tiff(PICTURE, PICTURE[::2, ::2], photometric="rgb", subfiletypes=(0, 1)), PICTURE),
    "thumbnail first.tif": (tiff(PICTURE[::2, ::2], PICTURE, photometric="rgb", subfiletypes=(1, 0)), PICTURE),
    "grey and alpha.png": (
        saved(Image.fromarray(np.dstack([PICTURE[..., 0], HALF])), "PNG"),
        np.where(HALF[..., None] > 0, GREY, 255),
    ),
    "alpha.png": (saved(Image.fromarray(CUT), "PNG"), SEEN),
    "alpha.webp": (saved(Image.fromarray(CUT), "WEBP", exact=True), SEEN),
    "1 bit.png": (saved(IMAGE.convert("1"), "PNG"), np.asarray(IMAGE.convert("1").convert("RGB"))),
    "palette.png": (saved(IMAGE.quantize(16), "PNG"), PICTURE),
    "palette with transparency.png": (
        saved(IMAGE.quantize(16), "PNG", transparency=IMAGE.quantize(16).getpixel((0, 0))),
        np.where(np.all(PICTURE[0, 0] == PICTURE, axis=2)[..., None], 255, PICTURE),
    ),
    "turned.jpg": (saved(IMAGE, "JPEG", exif=oriented(6)), np.rot90(PICTURE, -1)),
    "turned.webp": (saved(IMAGE, "WEBP", exif=oriented(8)), np.rot90(PICTURE)),
    "turned.tif": (tiff(PICTURE, photometric="rgb", extratags=[(274, "H", 1, 6, True)]), np.rot90(PICTURE, -1)),
    "mirrored.png": (saved(IMAGE, "PNG", exif=oriented(2)), PICTURE[:, ::-1]),
    "srgb.jpg": (saved(IMAGE, "JPEG", icc_profile=SRGB), PICTURE),
    "p3.png": (saved(IMAGE, "PNG", icc_profile=DISPLAY_P3), shown(PICTURE, DISPLAY_P3)),
    "p3.jpg": (saved(IMAGE, "JPEG", icc_profile=DISPLAY_P3), shown(PICTURE, DISPLAY_P3)),
    "p3 and alpha.png": (
        saved(Image.fromarray(CUT), "PNG", icc_profile=DISPLAY_P3),
        np.where(HALF[..., None] > 0, shown(PICTURE, DISPLAY_P3), 255),
    ),
    "broken profile.png": (saved(IMAGE, "PNG", icc_profile=b"x" * 200), PICTURE),
    "profile of another space.jpg": (saved(IMAGE.convert("CMYK"), "JPEG", icc_profile=DISPLAY_P3), PICTURE),
    "broken exif.jpg": (saved(IMAGE, "JPEG", exif=b"Exif\0\0MM\0\x2a" + b"\xff" * 40), PICTURE),
}

# Each file, and why it is refused.
BAD: dict[str, tuple[bytes, str]] = {
    "animated.gif": (saved(IMAGE, "GIF", **TWO), "several pictures in one image"),
    "animated.png": (saved(IMAGE, "PNG", **TWO), "several pictures in one image"),
    "animated.webp": (saved(IMAGE, "WEBP", **TWO), "several pictures in one image"),
    "animated.avif": (saved(IMAGE, "AVIF", **TWO), "several pictures in one image"),
    "two.heic": (TWO_HEIC, "several pictures in one image"),
    "pages.tif": (tiff(PICTURE, 255 - PICTURE, photometric="rgb"), "several pictures in one image"),
    "cut.jpg": (saved(IMAGE, "JPEG")[:600], "image cannot be decoded"),
    "cut.png": (saved(IMAGE, "PNG")[:-40], "image cannot be decoded"),
    "cut.heic": (HEIC[:500], "image cannot be decoded"),
    "bomb.png": (bomb(), "image too large"),
    "page.jpg": (b"\n<!DOCTYPE html><html><body>404</body></html>", "image is HTML"),
    "text.png": (b"no image", "image cannot be decoded"),
    "zero.jpg": (b"", "empty file"),
    "small.png": (saved(IMAGE.crop((0, 0, 9, 20)), "PNG"), "image too small"),
    "float.tif": (tiff(PICTURE[..., 0] / np.float32(255), photometric="minisblack"), "image cannot be decoded"),
    "float in colour.tif": (tiff(PICTURE / np.float32(255), photometric="rgb"), "image cannot be decoded"),
    "32 bit.tif": (tiff(WIDE[..., 0].astype(np.uint32), photometric="minisblack"), "image cannot be decoded"),
    "signed.tif": (tiff(PICTURE[..., 0].astype(np.int16), photometric="minisblack"), "image cannot be decoded"),
    "lab.tif": (tiff(PICTURE, photometric="cielab"), "image cannot be decoded"),
    "16 bit apart.tif": (
        tiff(np.moveaxis(WIDE, 2, 0).copy(), photometric="rgb", planarconfig="separate"),
        "image cannot be decoded",
    ),
}
