"""The pixel formats that encoders take, and pictures in them."""

from functools import lru_cache
from typing import TYPE_CHECKING

from tessera.core.errors import Failed

if TYPE_CHECKING:
    import av


@lru_cache
def formats_of(encoder: str) -> tuple[str, ...]:
    """Return the pixel formats of YUV and grey that `encoder` takes, by FFmpeg's names, with a plane for each component."""
    import av

    formats = [av.VideoFormat(each.name) for each in av.Codec(encoder, "w").video_formats or ()]
    planar = (each for each in formats if len({part.plane for part in each.components}) == len(each.components))
    return tuple(each.name for each in planar if not each.is_rgb and "a" not in each.name.removeprefix("gray"))


def closest_format(picture: "av.VideoFrame", formats: tuple[str, ...]) -> str:
    """Return the one of `formats` that loses least of `picture`: its own, if it is one of them.

    Where a side is odd, formats with subsampled chroma do not count, because encoders do not take them. Raises `Failed` if no
    format is left.
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
    best, _ = find_best_pix_fmt_of_list(usable, picture.format.name)
    if best is None:
        raise Failed(
            "odd size",
            f"{picture.width} by {picture.height} pixels cannot be encoded in {', '.join(formats)}: set `codec: h264` and"
            " `pixel_format: source`",
        )
    return str(best.name)


def encodable(picture: "av.VideoFrame", name: str) -> "av.VideoFrame":
    """Return `picture` in the pixel format `name`: `picture` itself, if it has it.

    RGB becomes BT.709 in limited range, which holds each of its colours within two levels.
    """
    from av.video.reformatter import ColorRange, Colorspace

    if picture.format.name == name:
        return picture
    if picture.format.components[0].is_luma:
        return picture.reformat(format=name, threads=1)
    made = picture.reformat(format=name, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG, threads=1)
    made.colorspace, made.color_range = Colorspace.ITU709, ColorRange.MPEG
    return made
