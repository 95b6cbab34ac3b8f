"""Draw random watermarks, texts and logos, over an image."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from tessera.core.errors import Failed, TesseraError
from tessera.core.files import IMAGE_SUFFIXES, files_below, open_file
from tessera.core.log import tell
from tessera.core.messages import Message, pluralize
from tessera.imaging.boxes import Box, mask_box
from tessera.imaging.fonts import font_folder
from tessera.imaging.images import decode_image, read_file
from tessera.imaging.watermark.settings import DrawSettings

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
FONTS = {".ttf", ".otf", ".ttc"}
LEAST_FRAME = 64  # pixels, shorter side of the smallest frame to draw on
LEAST_MARK = 6  # pixels, shorter side of the smallest mark; smaller ones look like noise
LARGEST_TEXT = 2**26  # pixels of the picture of a text; if there are more, the font is damaged or malicious
LONGEST_TEXT = 4  # largest size of a text before it is rotated, as a multiple of the sides of the frame
LARGEST_LOGO = 1024  # pixels, longer side to which logos are reduced
VISIBLE = 16  # least opacity, of 255, of a pixel that counts as part of a mark
CHANGE = 12  # levels, of 255, by which the mean of the channels of a pixel must change; half of the pixels of a mark must
TRIES = 20  # attempts for each wanted mark to draw one that is visible and does not overlap another
FIT = 0.96  # largest fraction of the width and height of the frame that a mark takes
FIT_TILE = 0.35  # the same for each tile of a tiled mark
TILE_TURN = 45.0  # degrees, largest rotation of a tiled mark in either direction
INSIDE = 0.5  # least fraction of a tile that lies inside the frame
PLATE = (0.4, 1.0)  # opacity of the plate behind a text, as a fraction of the opacity of the text


@dataclass(frozen=True)
class Materials:
    """The fonts and logos that marks are drawn with."""

    fonts: tuple[Path, ...]
    logos: tuple[tuple[str, np.ndarray], ...]  # name, and uint8 (H, W, 4), RGBA, cropped to the visible part


@dataclass(frozen=True)
class Mark:
    """A mark as it was drawn; the fields are those of `tables.Marks`."""

    kind: Literal["text", "logo"]
    content: str
    font: str | None
    size: int
    opacity: float
    angle: float
    color: tuple[int, ...] | None
    stroke: int
    plate: float
    tiled: bool
    boxes: tuple[Box, ...] = ()


def load_materials(settings: DrawSettings) -> Materials:
    """Load the logos and fonts in the folders of `settings`; without a folder of fonts, the DejaVu fonts in Matplotlib.

    A logo without an alpha channel is drawn as a rectangle, and reported in the log.
    Raises `TesseraError` that lists every file that is not a font or a usable logo, and every folder without any.
    """
    faults: list[Message] = []
    logos: list[tuple[str, np.ndarray]] = []
    fonts = _dejavu() if settings.fonts is None else files_below(settings.fonts, FONTS)
    if not fonts:
        kinds = ", ".join(sorted(FONTS))
        faults.append(f"fonts: {str(settings.fonts)!r} does not exist, or contains no file {kinds}; fix the path, or set null")
    for font in fonts:
        try:
            open_file(font).close()
            if not _text("tessera", font, 24, (0, 0, 0), 0, 0).getbbox():
                raise ValueError("it draws nothing")
        except (OSError, ValueError, Failed) as error:
            faults.append(f"fonts: {str(font)!r} is not a font ({error}); remove it")
    if settings.logos is not None:
        files = files_below(settings.logos, IMAGE_SUFFIXES)
        if not files:
            faults.append(f"logos: {str(settings.logos)!r} does not exist, or contains no image; fix the path, or set null")
        for file in files:
            try:
                logos.append((os.fsencode(file.name).decode("utf-8", "replace"), read_logo(file)))
            except ValueError as error:
                faults.append(f"logos: {str(file)!r} {error}; fix or remove it")
    if faults:
        listed = "\n".join(f"  {fault}" for fault in faults)
        raise TesseraError(f"watermarks.draw has {pluralize(len(faults), 'faults')}:\n{listed}")
    return Materials(tuple(fonts), tuple(logos))


def _dejavu() -> list[Path]:
    """Return the DejaVu fonts in Matplotlib: sans, serif and mono, upright and oblique."""
    # The fonts named Display contain only symbols.
    return sorted(path for path in font_folder().glob("DejaVu*.ttf") if "Display" not in path.name)


def read_logo(path: Path) -> np.ndarray:
    """Return the logo `path`, cropped to its visible part and scaled down to `LARGEST_LOGO`: uint8 (H, W, 4), RGBA.

    Raises `ValueError` if the file is not an image, or its visible part is empty or too small.
    """
    from PIL import Image

    try:
        pixels = decode_image(read_file(path), "it", keep_alpha=True).pixels
    except Failed as error:
        raise ValueError(f"is not an image that can be used ({error})") from None
    if (pixels[..., 3] == 255).all():
        tell(f"watermarks.draw.logos: {str(path)!r} has no transparent part; it is drawn as a rectangle")
    logo = Image.fromarray(pixels)
    visible = logo.getchannel("A").point([255 * (value >= VISIBLE) for value in range(256)]).getbbox()
    if visible is None:
        raise ValueError("is fully transparent")
    logo = logo.crop(visible)
    if min(logo.size) < LEAST_MARK:
        raise ValueError(f"has {logo.width} by {logo.height} visible pixels; each side needs at least {LEAST_MARK}")
    logo.thumbnail((LARGEST_LOGO, LARGEST_LOGO))
    return np.array(logo)


def draw_marks(
    image: np.ndarray, random: np.random.Generator, materials: Materials, settings: DrawSettings
) -> tuple[np.ndarray, list[Mark]]:
    """Return a copy of `image` with random marks drawn over it, and the list of the marks, which is empty if it stays clean.

    `image`: uint8 (H, W, 3), RGB. Boxes are in whole pixels and tight: no pixel outside is changed, and every side touches a
    pixel whose opacity is at least `VISIBLE`. Marks do not overlap. A mark that would not be visible, such as white on white,
    is replaced by another; if all attempts fail, or no room is left, there are fewer marks.
    """
    image = image.copy()
    if random.random() < settings.clean:
        return image, []
    tiled = random.random() < settings.tiled
    count = 1 if tiled else int(random.integers(settings.marks[0], settings.marks[1] + 1))
    free = np.ones(image.shape[:2], dtype=bool)
    marks: list[Mark] = []
    for _ in range(TRIES * count):
        mark, layer = make_mark(image.shape[:2], tiled, random, materials, settings)
        if not layer.size:
            continue  # too thin or too faint to be visible
        drawn_boxes = [blend(image, free, layer, x, y) for x, y in _places(image.shape[:2], layer.shape[:2], tiled, random)]
        if boxes := tuple(box for box in drawn_boxes if box):
            marks.append(replace(mark, boxes=boxes))
        if len(marks) == count:
            break
    return image, marks


def make_mark(
    shape: tuple[int, ...], tiled: bool, random: np.random.Generator, materials: Materials, settings: DrawSettings
) -> tuple[Mark, np.ndarray]:
    """Return a random mark for a frame of `shape` (H, W), and its layer: uint8 (h, w, 4), RGBA, cropped to the visible part."""
    from PIL import Image

    side = min(shape[:2])
    opacity = random.uniform(*settings.opacity)
    limit = TILE_TURN if tiled else settings.rotation
    angle = random.uniform(-limit, limit)
    if materials.logos and random.random() < settings.logo:
        name, logo = materials.logos[random.integers(len(materials.logos))]
        layer = Image.fromarray(logo)
        size = round(side * random.uniform(*settings.logo_size))
        scale = size / max(layer.size)
        layer = layer.resize(
            (max(1, round(layer.width * scale)), max(1, round(layer.height * scale))), Image.Resampling.LANCZOS
        )
        mark = Mark("logo", name, None, size, opacity, angle, None, 0, 0.0, tiled)
    else:
        font = materials.fonts[random.integers(len(materials.fonts))]
        text = _words(settings, random)
        size = max(LEAST_MARK, round(side * random.uniform(*settings.text_size)))
        color = _color(random)
        stroke = max(1, size // 16) if random.random() < settings.stroke else 0
        plate = random.uniform(*PLATE) if random.random() < settings.plate else 0.0
        layer = _text(text, font, size, color, stroke, plate)
        name = os.fsencode(font.name).decode("utf-8", "replace")
        mark = Mark("text", text, name, size, opacity, angle, color, stroke, plate, tiled)
        # Limit the length first: the rotated picture of a long line is as high as it is wide.
        layer = _fit(layer, shape, LONGEST_TEXT)
    layer = _fit(layer.rotate(angle, Image.Resampling.BICUBIC, expand=True), shape, FIT_TILE if tiled else FIT)
    pixels = np.array(layer)
    pixels[:, :, 3] = np.rint(pixels[:, :, 3] * opacity)
    x0, y0, x1, y1 = map(int, mask_box((pixels[:, :, 3] >= VISIBLE).view(np.uint8)))
    return mark, pixels[y0:y1, x0:x1]


def blend(image: np.ndarray, free: np.ndarray, layer: np.ndarray, x: int, y: int) -> Box | None:
    """Draw `layer` into `image` with its top left corner at `x`, `y`, and return the box of its visible part.

    `layer`: uint8 (h, w, 4), RGBA. `image`: uint8 (H, W, 3), RGB. `free`: bool (H, W), where no mark was drawn yet. `image`
    and `free` are updated. Nothing is drawn and None is returned if the place is not free, if less than `INSIDE` of the layer
    lies in the image, if its visible part is thinner than `LEAST_MARK`, or if less than half of that would change by `CHANGE`.
    """
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + layer.shape[1], image.shape[1]), min(y + layer.shape[0], image.shape[0])
    if max(right - left, 0) * max(bottom - top, 0) < INSIDE * layer.shape[0] * layer.shape[1]:
        return None
    part = layer[top - y : bottom - y, left - x : right - x]
    visible = part[:, :, 3] >= VISIBLE
    x0, y0, x1, y1 = map(int, mask_box(visible.view(np.uint8)))
    if min(x1 - x0, y1 - y0) < LEAST_MARK:
        return None
    # Cut off the nearly transparent margin, so that nothing is drawn outside the box.
    part, visible = part[y0:y1, x0:x1], visible[y0:y1, x0:x1]
    window = np.s_[top + y0 : top + y1, left + x0 : left + x1]
    if not free[window].all():
        return None
    before = image[window].astype(np.float32)
    after = np.rint(before + (part[:, :, :3] - before) * (part[:, :, 3:].astype(np.float32) / 255))
    changed = np.abs(after - before).mean(axis=2)[visible] >= CHANGE
    if changed.mean() < 0.5:
        return None
    image[window] = after
    free[window] = False
    return float(left + x0), float(top + y0), float(left + x1), float(top + y1)


def _places(
    frame: tuple[int, ...], layer: tuple[int, ...], tiled: bool, random: np.random.Generator
) -> Iterator[tuple[int, int]]:
    """Yield positions for the top left corner of a layer of shape `layer`: a random one, or rows of tiles over `frame`."""
    height, width = layer
    if not tiled:
        yield int(random.integers(frame[1] - width + 1)), int(random.integers(frame[0] - height + 1))
        return
    across, down = round(width * random.uniform(1.1, 1.6)), round(height + width * random.uniform(0.1, 0.5))
    x, y = -int(random.integers(across)), -int(random.integers(down))
    shift = across // 2 if random.random() < 0.5 else 0
    for row, column in product(range((frame[0] - y) // down + 1), range((frame[1] - x) // across + 2)):
        yield x + column * across - row % 2 * shift, y + row * down


def _fit(layer: "Picture", frame: tuple[int, ...], part: float) -> "Picture":
    """Return `layer`, scaled down if it is wider or higher than the fraction `part` of the `frame`, (H, W)."""
    scale = min(part * frame[1] / layer.width, part * frame[0] / layer.height)
    return layer if scale >= 1 else _scale(layer, scale)


def _scale(layer: "Picture", scale: float) -> "Picture":
    from PIL import Image

    return layer.resize((max(1, int(layer.width * scale)), max(1, int(layer.height * scale))), Image.Resampling.LANCZOS)


def _text(text: str, font: Path, size: int, color: tuple[int, ...], stroke: int, plate: float) -> "Picture":
    """Render `text` as an RGBA image.

    `size`: font size in pixels. `stroke`: width of the outline in pixels. `plate`: opacity of the background, 0 to 1.
    Raises `OSError` or `ValueError` if `font` is not a font, or the text has no pixels or too many.
    """
    from PIL import Image, ImageDraw, ImageFont

    # Every build of Pillow has the basic layout engine.
    face = ImageFont.truetype(font, size, layout_engine=ImageFont.Layout.BASIC)
    left, top, right, bottom = map(int, face.getbbox(text, stroke_width=stroke))
    margin = size // 4
    width, height = right - left + 2 * margin, bottom - top + 2 * margin
    if not 0 < width * height <= LARGEST_TEXT:
        raise ValueError(f"{text!r} would have {width} by {height} pixels")
    contrast = (0, 0, 0) if sum(color) > 382 else (255, 255, 255)
    # Transparent pixels have the colour of the edge, so that scaling mixes no other colour into it.
    edge = contrast if stroke or plate else color
    layer = Image.new("RGBA", (width, height), (*edge, round(255 * plate)))
    position = (margin - left, margin - top)
    ImageDraw.Draw(layer).text(position, text, (*color, 255), face, stroke_width=stroke, stroke_fill=(*contrast, 255))
    return layer


def _words(settings: DrawSettings, random: np.random.Generator) -> str:
    if settings.texts:
        return settings.texts[random.integers(len(settings.texts))]
    length = random.integers(settings.length[0], settings.length[1] + 1)
    letters = [settings.alphabet[number] for number in random.integers(len(settings.alphabet), size=length)]
    return "".join(letters).strip() or settings.alphabet.strip()[0]


def _color(random: np.random.Generator) -> tuple[int, ...]:
    """Return a random colour, RGB: half are white, a fifth black, the others uniform, about as in real watermarks."""
    choice = random.random()
    if choice < 0.7:
        return (255, 255, 255) if choice < 0.5 else (0, 0, 0)
    return tuple(random.integers(256, size=3).tolist())
