"""Contact sheets: pictures in rows, with captions."""

from functools import cache, lru_cache
from typing import Any

import numpy as np
from pydantic import Field, PositiveInt

from tessera.core.settings import Settings
from tessera.imaging.fonts import SANS, font_folder

Colour = tuple[int, int, int]
# The palette of Okabe and Ito, brightened. It is safe for colour-blind people, and rare in skin, sky and grass.
COLOURS: tuple[Colour, ...] = ((0, 158, 255), (230, 159, 0), (224, 121, 187), (0, 200, 150), (240, 228, 66), (233, 94, 0))
INK, SHADE, PAPER = (255, 255, 255), (0, 0, 0), (32, 32, 32)
GAP = 8  # pixels around the tiles of a contact sheet
LINE = 22  # pixels, height of a line of text on a contact sheet


class RenderSettings(Settings):
    """How large previews are drawn."""

    max_side: int = Field(1280, ge=64)
    """Longest side of overlay videos in pixels. Smaller footage keeps its size."""
    tile: int = Field(400, ge=200)
    """Longer side of a picture on a contact sheet in pixels."""
    columns: PositiveInt = 4
    """Number of pictures in a row of a contact sheet."""
    rows: PositiveInt = 2
    """Number of rows of a contact sheet. As many may follow with the frames of which the detector is unsure."""


def write(image: np.ndarray, text: str, corner: tuple[int, int], line: int, ink: Colour = INK, paper: Colour = SHADE) -> None:
    """Write `text` into `image` in place, with its top left corner at `corner` (x, y) or as close as the image allows.

    `image`: uint8 (H, W, 3), RGB. `line`: height of the line in pixels. `ink`, `paper`: RGB colours of the text and of its
    background.
    """
    cover = _text(text, line)[: image.shape[0], : image.shape[1], None]
    height, width = cover.shape[:2]
    x = min(max(corner[0], 0), image.shape[1] - width)
    y = min(max(corner[1], 0), image.shape[0] - height)
    image[y : y + height, x : x + width] = (cover * np.array(ink) + (1 - cover) * np.array(paper)).astype(np.uint8)


def contact_sheet(title: str, bands: dict[str, list[tuple[np.ndarray, str]]], tile: int, columns: int) -> np.ndarray:
    """Return a contact sheet, uint8 (H, W, 3), RGB, with `title` at the top and each of `bands` below.

    `bands`: tiles and their captions by heading. A tile is uint8 (H, W, 3), RGB, with sides of at most `tile` pixels.
    A row has at most `columns` tiles.
    """
    columns = max(1, min(columns, max(map(len, bands.values()), default=0)))
    step_x = tile + GAP
    steps = {heading: max(image.shape[0] for image, _ in tiles) + LINE + GAP for heading, tiles in bands.items()}
    total = 2 * LINE + sum(LINE + GAP + step * -(-len(bands[heading]) // columns) for heading, step in steps.items())
    sheet = np.full((total, GAP + step_x * columns, 3), PAPER, dtype=np.uint8)
    write(sheet, title, (GAP, GAP), LINE, INK, PAPER)
    top = 2 * LINE
    for heading, tiles in bands.items():
        write(sheet, heading, (GAP, top), LINE, COLOURS[1], PAPER)
        top += LINE + GAP
        for number, (image, caption) in enumerate(tiles):
            x, y = GAP + step_x * (number % columns), top + steps[heading] * (number // columns)
            left = x + (tile - image.shape[1]) // 2
            sheet[y : y + image.shape[0], left : left + image.shape[1]] = image
            write(sheet[:, x : x + tile], caption, (0, y + steps[heading] - LINE - GAP), LINE, INK, PAPER)
        top += steps[heading] * -(-len(tiles) // columns)
    return sheet


def stamp(index: int, time: float | None) -> str:
    """Return the caption of the frame `index`, `time` seconds from the first if it belongs to a video."""
    if time is None:
        return f"#{index}"
    seconds, thousandths = divmod(round(time * 1000), 1000)
    return f"#{index}   {seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}.{thousandths:03}"


@lru_cache(maxsize=1024)
def _text(text: str, line: int) -> np.ndarray:
    """Return the fraction of each pixel that `text` covers: float64 (line, W), in [0, 1]."""
    from PIL import Image, ImageDraw

    font = _font(line)
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    margin = line // 4
    picture = Image.new("L", (int(font.getlength(text)) + 2 * margin, line))
    ImageDraw.Draw(picture).text((margin, line / 2), text, fill=255, font=font, anchor="lm")
    return np.asarray(picture) / 255


@cache
def _font(line: int) -> Any:
    from PIL import ImageFont

    return ImageFont.truetype(font_folder() / SANS, round(line * 0.7))
