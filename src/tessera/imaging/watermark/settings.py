"""Settings for drawing watermarks."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator

from tessera.core.settings import Fraction, Range, Settings

Part = Annotated[float, Field(gt=0, le=1)]
Parts = Range[Part]
Counts = Range[PositiveInt]


class DrawSettings(Settings):
    """Which marks are drawn over frames.

    Sizes are fractions of the shorter side of the frame. `clean`, `tiled`, `logo`, `stroke` and `plate` are probabilities.
    """

    frames_per_source: NonNegativeInt = 200
    max_side: PositiveInt | None = 1280
    quality: int = Field(95, ge=1, le=100)
    clean: Fraction = 0.2
    marks: Counts = (1, 3)
    tiled: Fraction = 0.15
    logos: Path | None = None
    logo: Fraction = 0.5
    logo_size: Parts = (0.1, 0.6)
    fonts: Path | None = None
    texts: tuple[str, ...] = ()
    alphabet: str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .-_@&"
    length: Counts = (8, 23)
    text_size: Parts = (0.04, 0.2)
    stroke: Fraction = 0.2
    plate: Fraction = 0.2
    opacity: Parts = (0.25, 0.9)
    rotation: float = Field(10.0, ge=0, le=90)

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
