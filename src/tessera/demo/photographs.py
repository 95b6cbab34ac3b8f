"""The photographs of scikit-image from which the demo is made, cut-outs from them, and logos."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tessera.core.errors import TesseraError

FILES = {
    "hubble": "hubble_deep_field.jpg",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
}
# Grey photographs, and the RGB colours that replace black and white.
TINTS = {
    "brick": ((66, 36, 28), (214, 140, 104)),
    "grass": ((22, 36, 8), (196, 210, 124)),
    "gravel": ((48, 44, 42), (222, 212, 196)),
    "coins": ((38, 32, 28), (232, 212, 176)),
}
# Photograph and, in its pixels, centre x, centre y, half the width and half the height of each cut-out.
CUT_OUTS = {
    "cat": ("chelsea", 205, 150, 160, 145),
    "cup": ("coffee", 297, 112, 124, 96),
    "helmet": ("astronaut", 418, 424, 84, 84),
    "planet": ("retina", 705, 705, 640, 640),
}

CUT_OUT_SIDE = 200  # pixels, the shorter side
WATERMARK_OPACITY = 0.45


@cache
def photograph(name: str) -> np.ndarray:
    """Return the photograph `name` of scikit-image: uint8 (H, W, 3), RGB. Raises `TesseraError` if it is not installed."""
    with Image.open(_data(FILES.get(name, f"{name}.png"))) as image:
        if name not in TINTS:
            return np.asarray(image.convert("RGB"))
        black, white = np.array(TINTS[name], dtype=np.float32)
        grey = np.asarray(image.convert("L"), dtype=np.float32)[:, :, None] / 255
        return np.asarray(np.rint(black + (white - black) * grey), dtype=np.uint8)


def _data(name: str) -> Path:
    """Return the path of a file of skimage.data, whose own functions would download missing files."""
    package = find_spec("skimage")
    if package is None or package.origin is None:
        raise TesseraError("scikit-image is not installed; `make setup` installs what the workflow needs")
    path = Path(package.origin).parent / "data" / name
    if not path.is_file():
        raise TesseraError(f"{path}: the photograph is missing; install the version of scikit-image in envs/workflow.txt")
    return path


@cache
def cut_out(name: str) -> np.ndarray:
    """Return the cut-out `name`: uint8 (H, W, 3), RGB. Its object fills the inscribed ellipse."""
    source, x, y, half_width, half_height = CUT_OUTS[name]
    part = photograph(source)[y - half_height : y + half_height, x - half_width : x + half_width]
    return cover(part, CUT_OUT_SIDE, CUT_OUT_SIDE)


def cover(image: np.ndarray, width: float, height: float) -> np.ndarray:
    """Return `image` scaled to the smallest size that covers `width` x `height` pixels."""
    scale = max(width / image.shape[1], height / image.shape[0])
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC))


def watermark(kind: Literal["text", "logo"], width: int, height: int) -> np.ndarray:
    """Return a watermark for frames of `width` x `height` pixels: uint8 (H, W, 4), RGB and opacity."""
    layer = Image.new("RGBA", (width, height), (255, 255, 255, 0))
    if kind == "text":
        font = ImageFont.load_default(size=height / 9)
        position = (width / 2, height * 0.8)
        ImageDraw.Draw(layer).text(position, "tessera preview", (255, 255, 255, 255), font, anchor="mm")
    else:
        side = height // 4
        layer.paste(disc_logo().resize((side, side)), (width - side - side // 4, side // 4))
    mark = np.array(layer)
    mark[:, :, 3] = np.rint(mark[:, :, 3] * WATERMARK_OPACITY)
    return mark


def disc_logo() -> Image.Image:
    """Return the logo of scikit-image, RGBA."""
    with Image.open(_data("logo.png")) as logo:
        # Make its white corners transparent.
        disc = Image.new("L", logo.size)
        ImageDraw.Draw(disc).ellipse((0, 0, *logo.size), 255)
        logo.putalpha(disc)
        return logo.copy()


def tiles_logo() -> Image.Image:
    """Return a logo of nine tiles with gaps between them, and a wide margin, RGBA."""
    logo = Image.new("RGBA", (160, 120), (255, 255, 255, 0))
    colors = ((250, 196, 60, 255), (236, 98, 70, 255), (64, 150, 190, 255))
    for row in range(3):
        for column in range(3):
            x, y = 44 + 25 * column, 22 + 25 * row
            ImageDraw.Draw(logo).rounded_rectangle((x, y, x + 21, y + 21), 5, colors[(row + column) % 3])
    return logo


def overlay_logo(image: np.ndarray, mark: np.ndarray) -> np.ndarray:
    """Return `image`, uint8 (H, W, 3), RGB, blended with `mark`, uint8 (H, W, 4), RGB and opacity."""
    alpha = mark[:, :, 3:].astype(np.float32) / 255
    return np.asarray(np.rint(image * (1 - alpha) + mark[:, :, :3] * alpha), dtype=np.uint8)
