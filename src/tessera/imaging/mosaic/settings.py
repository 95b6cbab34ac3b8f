"""Settings for drawing mosaics."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, PositiveInt

from tessera.core.settings import Fraction, Range, Settings, Weights

MIN_BLOCK = 2  # pixels; blocks of one pixel would leave the image unchanged
# Values in the mask of a sample. They exclude a bitwise or, which Lada uses: 192 (face) | 127 (head) makes 255 (nsfw).
VALUES = {"nsfw": 255, "face": 192, "head": 127}  # label of a region → value
CLASSES = {255: "nsfw", 192: "sfw", 127: "sfw"}  # value in a mask → class of a mosaic detector

Type: TypeAlias = Literal["squa_mid", "squa_avg", "rect_avg"]
Factor: TypeAlias = Annotated[float, Field(ge=0, le=100)]
Pixels: TypeAlias = Annotated[int, Field(ge=0, le=1000)]


Factors: TypeAlias = Range[Factor]
Fractions: TypeAlias = Range[Fraction]
Block: TypeAlias = Annotated[float, Field(ge=MIN_BLOCK, le=1000)]
Rescale: TypeAlias = Annotated[float, Field(ge=0.25, le=4)]


class DrawSettings(Settings):
    """How random mosaics are drawn. The defaults are Lada's for training its mosaic detector."""

    version: Literal["v1", "v2", "v3", "v4"] = "v4"
    bounding: Fraction = 0.5
    scale: Factors = (0.9, 1.8)
    min_block: int = Field(3, ge=MIN_BLOCK)
    types: Weights[Type] = Field({"squa_mid": 0.25, "squa_avg": 0.3, "rect_avg": 0.45})
    ratio: Factors = (1.1, 1.8)
    feathered: Fraction = 0.7
    feather: Factors = (0.0, 2.5)
    dilation: tuple[Pixels, ...] = Field((0, 5), min_length=1)
    incomplete: Fraction = 0.2
    anchor: Literal["frame", "crop", "region"] = "frame"


class MosaicSettings(DrawSettings):
    """How mosaics are drawn on frames to train a mosaic detector."""

    sfw_scale: Factors = (1.3, 2.3)
    sfw_min_block: int = Field(5, ge=MIN_BLOCK)
    fine: Fraction = 0.15
    fine_block: Range[Block] = (2.0, 6.0)
    rescaled: Fraction = 0.2
    rescale: Range[Rescale] = (0.4, 1.5)
    blurred: Fraction = 0.1
    blur: Factors = (0.2, 1.0)
    darkened: Fraction = 0.1
    darken: Fractions = (0.4, 0.9)
    bars: Fraction = 0.0
    bar_thickness: Fractions = (0.3, 1.0)
    bar_opacity: Fractions = (0.6, 1.0)
    max_side: PositiveInt = 640
    min_side: PositiveInt = 10
    uncovered: Fraction = 0.1
    backgrounds: Fraction = 0.5
    quality: int = Field(95, ge=1, le=100)
