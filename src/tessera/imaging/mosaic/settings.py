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
    """How the block size follows from the region, as in Lada. `v1` computes it from the area, piecewise linearly; `v2` from the
    length of the region; `v3` is a hundredth of the longer side of the frame; `v4` is a smooth version of `v1`, varied by up to
    two pixels.
    """
    bounding: Fraction = 0.5
    """Probability that the area of the bounding box is used instead of the area of the region."""
    scale: Factors = (0.9, 1.8)
    """Smallest and largest factor by which the block size is multiplied."""
    min_block: int = Field(3, ge=MIN_BLOCK)
    """Smallest block size in pixels, at least 2."""
    types: Weights[Type] = Field({"squa_mid": 0.25, "squa_avg": 0.3, "rect_avg": 0.45})
    """Weight with which each type of block is drawn. `squa_mid` is square with the colour of its middle pixel, `squa_avg` is
    square with its mean colour, and `rect_avg` is oblong with its mean colour.
    """
    ratio: Factors = (1.1, 1.8)
    """Smallest and largest width of an oblong block, relative to its height."""
    feathered: Fraction = 0.7
    """Probability of a soft edge. Only regions of more than four rows and columns of blocks get one."""
    feather: Factors = (0.0, 2.5)
    """Smallest and largest width of a soft edge, relative to the height of a block."""
    dilation: tuple[Pixels, ...] = Field((0, 5), min_length=1)
    """Pixels by which the region is dilated on every side. One of these numbers is drawn for each mosaic."""
    incomplete: Fraction = 0.2
    """Probability that blocks are cut at the outline of the region. Otherwise they are whole, and drawn if their middle lies
    inside.
    """
    anchor: Literal["frame", "crop", "region"] = "frame"
    """Where the grid of blocks begins: at the corner of the `frame`, of the `crop` or of the `region`. Without a crop, that is
    the frame. Clips of Lada do not state where they were cut out: the grid of their blocks begins at the corner of the crop.
    """


class MosaicSettings(DrawSettings):
    """How mosaics are drawn on frames to train a mosaic detector."""

    sfw_scale: Factors = (1.3, 2.3)
    """Factor of the block size for faces and heads, in place of `scale`: its smallest and largest value."""
    sfw_min_block: int = Field(5, ge=MIN_BLOCK)
    """Smallest block size for faces and heads in pixels, in place of `min_block`."""
    fine: Fraction = 0.15
    """Probability that the blocks of a mosaic are small, whatever the size of its region. A detector that was not trained on
    small blocks misses them.
    """
    fine_block: Range[Block] = (2.0, 6.0)
    """Smallest and largest height of such a block in pixels of the sample, at least 2. Heights are drawn log-uniformly: 2 to 3
    is as likely as 4 to 6.
    """
    rescaled: Fraction = 0.2
    """Probability that a frame is scaled after its mosaics were drawn, as in footage that was encoded again at another size.
    Blocks then have fractional sizes and soft edges. Backgrounds are scaled as often.
    """
    rescale: Range[Rescale] = (0.4, 1.5)
    """Smallest and largest factor by which such a frame is scaled, from 0.25 to 4. Mosaics are drawn on the frame at the size
    of the sample divided by this factor. No block of the sample gets smaller than `min_block`, `sfw_min_block` or `fine_block`
    allow.
    """
    blurred: Fraction = 0.1
    """Probability that a mosaic is blurred. The blur fades out towards the outline of the mosaic."""
    blur: Factors = (0.2, 1.0)
    """Smallest and largest standard deviation of the blur, relative to the height of a block. From about 0.5 on, blocks merge.
    """
    darkened: Fraction = 0.1
    """Probability that a mosaic is darkened."""
    darken: Fractions = (0.4, 0.9)
    """Smallest and largest factor by which such a mosaic is darkened."""
    bars: Fraction = 0.0
    """Probability that a region gets a bar of one colour instead of a mosaic. A detector that is trained on bars also finds
    bars, which no model can restore.
    """
    bar_thickness: Fractions = (0.3, 1.0)
    """Smallest and largest thickness of a bar, relative to the shorter side of the smallest rectangle around the region."""
    bar_opacity: Fractions = (0.6, 1.0)
    """Smallest and largest opacity of a bar."""
    max_side: PositiveInt = 640
    """Longest side of an image in pixels. Larger frames are scaled down, smaller ones keep their size."""
    min_side: PositiveInt = 10
    """Shortest side of a region that gets a mosaic, in pixels of the scaled frame."""
    # The degradations add Gaussian noise of up to 1.6 levels, and JPEG at quality 95 changes frames by up to 1.
    min_change: float = Field(2.0, ge=0, le=100)
    """Smallest change of a region by its mosaic: the root of the mean square, in levels. In flat parts of a picture, a mosaic
    changes less, and is not drawn: a detector would learn to find mosaics where nobody can see one.
    """
    uncovered: Fraction = 0.1
    """Probability that a frame with regions gets no mosaic and is a background instead. If every subject were pixelated, a
    detector would learn to find the subjects.
    """
    backgrounds: Fraction = 0.5
    """Largest fraction of the images of each split that may be backgrounds, which are frames without any mosaic. 1 uses all,
    and 0 uses none.
    """
    quality: int = Field(95, ge=1, le=100)
    """Quality of JPEG, from 1 to 100."""
