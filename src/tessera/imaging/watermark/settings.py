"""Settings for drawing watermarks."""

from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt, field_validator

from tessera.core.settings import Settings

Number = TypeVar("Number", int, float)


def _ascends(limits: tuple[Number, Number]) -> tuple[Number, Number]:
    if limits[0] > limits[1]:
        raise ValueError("the lower limit exceeds the upper one")
    return limits


Share = Annotated[float, Field(ge=0, le=1)]
Part = Annotated[float, Field(gt=0, le=1)]
Parts = Annotated[tuple[Part, Part], AfterValidator(_ascends)]
Counts = Annotated[tuple[PositiveInt, PositiveInt], AfterValidator(_ascends)]


class DrawSettings(Settings):
    """Which marks are drawn over frames.

    Sizes are fractions of the shorter side of the frame. `clean`, `tiled`, `logo`, `stroke` and `plate` are probabilities.
    """

    frames_per_source: NonNegativeInt = 200
    """Largest number of frames per source on which watermarks are drawn, evenly spaced. 0 draws none. A source whose footage
    already shows watermarks must not feed watermark_detection; leave that out of its column `use` in the manifest.
    """
    max_side: PositiveInt | None = 1280
    """Longest side of a frame in pixels. Larger frames are scaled down. `null` keeps the size."""
    quality: int = Field(95, ge=1, le=100)
    """Quality of JPEG, from 1 to 100."""
    clean: Share = 0.2
    """Fraction of the frames that get no watermark."""
    marks: Counts = (1, 3)
    """Smallest and largest number of watermarks on a frame."""
    tiled: Share = 0.15
    """Fraction of the watermarked frames that show one watermark repeated over the whole frame."""
    logos: Path | None = None
    """Folder of logos: images with an alpha channel. An image without one is drawn as a rectangle. `null` draws text only."""
    logo: Share = 0.5
    """Fraction of the watermarks that are logos, if there are logos."""
    logo_size: Parts = (0.1, 0.6)
    """Smallest and largest longer side of a logo, as a fraction of the shorter side of the frame."""
    fonts: Path | None = None
    """Folder of fonts. `null` uses DejaVu, which is free and comes with Matplotlib."""
    texts: tuple[str, ...] = ()
    """Texts to draw. If empty, random characters of `alphabet` are drawn."""
    alphabet: str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .-_@&"
    """Characters of random texts."""
    length: Counts = (8, 23)
    """Smallest and largest number of characters of a random text."""
    text_size: Parts = (0.04, 0.2)
    """Smallest and largest font size, as a fraction of the shorter side of the frame."""
    stroke: Share = 0.2
    """Fraction of the texts that have an outline."""
    plate: Share = 0.2
    """Fraction of the texts that have a plate behind them."""
    opacity: Parts = (0.25, 0.9)
    """Smallest and largest opacity of a watermark, from 0 to 1."""
    rotation: float = Field(10.0, ge=0, le=90)
    """Largest rotation of a watermark in degrees, in either direction. A repeated one is rotated by up to 45 degrees."""

    @field_validator("texts")
    @classmethod
    def _texts_show(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        if not all(text.isprintable() and text.strip() for text in texts):
            raise ValueError("a text is blank or contains unprintable characters; remove them")
        return texts

    @field_validator("alphabet")
    @classmethod
    def _letters_show(cls, alphabet: str) -> str:
        if not (alphabet.isprintable() and alphabet.strip()):
            raise ValueError("it is blank or contains unprintable characters; list printable characters on one line")
        return alphabet
