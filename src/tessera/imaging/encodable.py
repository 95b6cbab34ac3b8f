"""The pixel formats that encoders take, and pictures in them."""

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from tessera.core.errors import Failed
from tessera.imaging.frame import converted

if TYPE_CHECKING:
    import av

RGB, BT601 = 0, 6  # numbers of colour matrices (ITU-T H.273, table 4)


@cache
def formats_of(encoder: str) -> tuple[str, ...]:
    """Return the pixel formats of FFmpeg's `encoder` that `paint` writes to.

    These are YUV and grey, with integers of 8 to 16 bits, a plane for each component, and no alpha.
    """
    import av

    def is_paintable(kind: "av.VideoFormat") -> bool:
        parts = kind.components
        is_planar = len({part.plane for part in parts}) == len(parts) and not any(part.is_alpha for part in parts)
        # Formats with "f16" hold floats, and those with "msb" integers in the upper bits.
        is_odd = not parts[0].is_luma or kind.has_palette or kind.is_big_endian or re.search("f16|msb", kind.name)
        return is_planar and not is_odd and all(8 <= part.bits <= 16 for part in parts)

    formats = (av.VideoFormat(known_format.name) for known_format in av.Codec(encoder, "w").video_formats or ())
    return tuple(known_format.name for known_format in formats if is_paintable(known_format))


def closest_format(picture: "av.VideoFrame", formats: tuple[str, ...]) -> str:
    """Return the one of `formats` that loses least of `picture`: its own, if it is one of them.

    Where a side is odd, formats with subsampled chroma do not count, because encoders do not take them. Of RGB, one of 10 bits
    is taken if there is one: then RGB of 8 bits comes back exactly. Raises `Failed` if no format is left.
    """
    import av
    from av.codec.codec import find_best_pix_fmt_of_list

    def fits(name: str) -> bool:
        parts = av.VideoFormat(name, picture.width, picture.height).components
        is_halved = {side: any(getattr(part, side) < getattr(picture, side) for part in parts) for side in ("width", "height")}
        return not (picture.width % 2 and is_halved["width"]) and not (picture.height % 2 and is_halved["height"])

    usable = [name for name in formats if fits(name)]
    if picture.format.name in usable:
        return picture.format.name
    if _is_rgb(picture.format):
        coloured = [name for name in usable if len(av.VideoFormat(name).components) == 3]
        usable = [name for name in coloured if av.VideoFormat(name).components[0].bits >= 10] or coloured
    best, _ = find_best_pix_fmt_of_list(sorted(usable), picture.format.name)
    if best is None:
        raise Failed(
            "odd size",
            f"{picture.width} by {picture.height} pixels cannot be encoded in {', '.join(formats)}: set `codec: h264` and"
            " `pixel_format: source`",
        )
    return str(best.name)


def encodable(picture: "av.VideoFrame", name: str) -> "av.VideoFrame":
    """Return `picture` in the pixel format `name`, one of `formats_of`: `picture` itself, if it has it.

    Its tags are those of `picture`, unless they do not fit what it holds: RGB becomes BT.709 with limited range. YUV that is
    tagged as RGB gets the tag of BT.601, and grey without a range that of full range, because this is what FFmpeg takes them
    for. Raises `Failed` if the colours cannot be converted.
    """
    from av.video.reformatter import ColorRange, Colorspace

    kind = picture.format
    if kind.name != name:
        target: dict[str, Any] = {}
        if _is_rgb(kind):
            target = {"dst_colorspace": Colorspace.ITU709, "dst_color_range": ColorRange.MPEG}
            if kind.has_palette or kind.components[0].bits < 8:
                # To other formats than this, FFmpeg converts palettes and coarse colours less exactly.
                picture = converted("encodable", picture, format="rgb24")
        picture = converted("encodable", picture, format=name, **target)
        if target:
            picture.colorspace, picture.color_range = Colorspace.ITU709, ColorRange.MPEG
    if picture.colorspace == RGB:
        picture.colorspace = BT601
    if len(picture.format.components) == 1 and picture.color_range == ColorRange.UNSPECIFIED:
        picture.color_range = ColorRange.JPEG
    return picture


def _is_rgb(kind: "av.VideoFormat") -> bool:
    """Return whether FFmpeg converts pictures of the format `kind` from RGB, as also palettes and XYZ."""
    return kind.is_rgb or kind.has_palette or kind.name.startswith("xyz")
