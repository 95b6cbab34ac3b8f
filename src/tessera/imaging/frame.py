"""A frame of a video, and its picture in RGB, as stored, or scaled down."""

import threading
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np

from tessera.core.errors import Failed
from tessera.imaging.images import resize

if TYPE_CHECKING:
    import av
    from av.sidedata.sidedata import SideDataContainer, Type

Matrix: TypeAlias = tuple[int, int, int, int]  # see `display_matrix`
Field: TypeAlias = Literal["t", "b"] | None  # see `first_field`
Depth: TypeAlias = type[np.uint8] | type[np.uint16]
_local = threading.local()
_locks = [threading.Lock() for _ in range(64)]  # see `converted`
BLACK = 16, 128, 128  # Y, Cb and Cr in limited range
SPARSE = 4  # times as many rows as a scaled image has, from which on leaving out rows saves time
UPRIGHT = 1, 0, 0, 1  # the display matrix of pictures that are shown as stored
RED, BLUE = 0.2126, 0.0722  # the weights of BT.709 (ITU-R BT.709-6, items 3.2 to 3.5)
GREEN = 1 - RED - BLUE
# From the differences of Y, Cb and Cr, in limited range, to 16, 128 and 128, to R, G and B.
BT709 = np.array(
    [
        [255 / 219, 0, 255 / 112 * (1 - RED)],
        [255 / 219, -255 / 112 * (1 - BLUE) * BLUE / GREEN, -255 / 112 * (1 - RED) * RED / GREEN],
        [255 / 219, 255 / 112 * (1 - BLUE), 0],
    ]
)
# The same from Y, Cb, Cr and 1.
LIMITED_BT709 = np.column_stack([BT709, -BT709 @ [16, 128, 128]])
# Pixel formats that FFmpeg 8.1 does not refuse to convert: it swaps the bytes of some, and ends the process for others.
BROKEN = {"rgb555be", "rgb565be", "bgr555be", "bgr565be", "yaf32be", "yaf32le"}
# The names of colour matrices that FFmpeg does not convert (ITU-T H.273, table 4).
MATRICES = {8: "YCgCo", 10: "BT.2020 with constant luminance", 14: "ICtCp", 16: "YCgCo-Re", 17: "YCgCo-Ro"}


@dataclass(frozen=True)
class VideoFrame:
    """A frame of a video: its position in presentation order, its time stamp, and the seconds since the first frame.

    `pts` is None if the stream has no time stamps; `picture` is None if the frame cannot be decoded. `is_damaged`: whether
    the decoder failed on the frame or concealed errors in it; frames that refer to it then show artefacts. `pixel`: width of a
    stored pixel relative to its height.
    """

    index: int
    pts: int | None
    time: float
    picture: "av.VideoFrame | None"
    is_damaged: bool = False
    pixel: Fraction = Fraction(1)
    name: ClassVar[None] = None  # it is no picture in a folder

    def image(self, box: tuple[int, int, int, int] | None = None, dtype: Depth = np.uint8) -> np.ndarray:
        """Return the picture, upright: `dtype` (H, W, 3), RGB, converted by the colour matrix and range of the stream.

        `dtype`: uint8 or uint16; see `depth`. `box`: x0, y0, x1 and y1 in the upright picture, half-open; only the part inside
        is returned, and usually little more is converted. The values are those of FFmpeg's filter `scale`: colour properties
        that the stream does not state are those that FFmpeg assumes, and neither the transfer function nor the primaries are
        changed, so that pictures of HDR video (PQ, HLG) look dull. Alpha is ignored. Raises `Failed` if the frame cannot be
        decoded, or has colours that FFmpeg does not convert.
        """
        if self.picture is None:
            raise Failed("frame cannot be decoded")
        matrix = display_matrix(self.picture)
        return rgb(self.picture, matrix, dtype) if box is None else rgb_inside(self.picture, matrix, box, dtype)

    def image_for(self, height: int) -> np.ndarray:
        """Return `image()` for OpenCV to scale it bilinearly to `height` pixels: rows that it does not read may hold anything.

        Where most rows are not read, this is far faster. Raises `Failed` as `image` does.
        """
        picture = self.picture
        if picture is None or not _is_plain(picture, display_matrix(picture)) or picture.height < SPARSE * height:
            return self.image()
        # Rounding may move a position to the row before or after it.
        positions = (np.arange(height) + 0.5) * (picture.height / height) - 0.5
        rows = np.floor(np.add.outer([-1e-3, 1e-3], positions)).astype(np.intp)
        pairs = np.unique(np.stack([rows, rows + 1]).clip(0, picture.height - 1) // 2)
        pixels = _pixels(converted("image_for", _pairs(picture, pairs), format="rgb24"), 3)
        image = np.empty((picture.height // 2, 2, picture.width, 3), np.uint8)
        image[pairs] = pixels.reshape(-1, *image.shape[1:])
        return image.reshape(-1, *image.shape[2:])

    @property
    def aspect(self) -> float:
        """The width of a pixel of the upright picture relative to its height."""
        is_upright = self.picture is None or not is_turned(display_matrix(self.picture))
        return float(self.pixel if is_upright else 1 / self.pixel)

    def square_image(self, *, deinterlace: bool = False) -> np.ndarray:
        """Return the picture as `image` does, with square pixels: the shorter side of a pixel is stretched.

        `deinterlace`: whether the second field of an interlaced picture is replaced by what lies between the rows of the first.
        """
        frame = self
        if deinterlace and self.picture is not None and self.picture.interlaced_frame:
            frame = replace(self, picture=deinterlaced(self.picture))
        image = frame.image()
        height, width = image.shape[:2]
        return resize(image, round(height / min(1, self.aspect)), round(width * max(1, self.aspect)))

    @property
    def depth(self) -> Depth:
        """The type in which `image` loses nothing: uint16 if the picture has more than 8 bits, else uint8.

        Values of uint8 are levels from 0 to 255. Values of uint16 are 256 times as large, and up to 255 more.
        """
        return np.uint16 if self.picture is not None and self.picture.format.components[0].bits > 8 else np.uint8

    def grey(self) -> np.ndarray:
        """Return the picture of a grey stream as it is stored: uint8 (H, W); of any other, the red channel of `image`.

        Not to be written to. Raises `Failed` as `image` does.
        """
        if self.picture is None or self.picture.format.name != "gray" or display_matrix(self.picture) != UPRIGHT:
            return self.image()[..., 0]
        return _pixels(self.picture, 1)

    def luma(self) -> np.ndarray:
        """Return the brightness of the picture, upright: uint8 (H, W), in full range. Raises `Failed` as `image` does."""
        if self.picture is None:
            raise Failed("frame cannot be decoded")
        grey = _pixels(converted("luma", self.picture, format="gray"), 1)
        return upright(grey, display_matrix(self.picture)).copy()

    def planes(self, box: Matrix) -> np.ndarray:
        """Return the part of the picture inside `box`, as for `image`: uint8 (3, h, w), Y, Cb and Cr of BT.709, limited range.

        Where the stream stores such values, they are returned as they are, so that none is rounded on a way through RGB. Chroma
        that is subsampled is repeated, as in `image`. Raises `Failed` as `image` does.
        """
        import av
        from av.video.reformatter import ColorRange, Colorspace

        picture = self.picture
        stored = Colorspace.ITU709.value, ColorRange.MPEG.value
        if (
            picture is None
            or not _is_plain(picture, display_matrix(picture))
            or (picture.colorspace, picture.color_range) != stored
        ):
            image = av.VideoFrame.from_ndarray(self.image(box), format="rgb24")
            target = {"dst_colorspace": Colorspace.ITU709, "dst_color_range": ColorRange.MPEG}
            return np.asarray(converted("planes", image, format="yuv444p", **target).to_ndarray())
        x0, y0, x1, y1 = box
        left, top = x0 // 2, y0 // 2
        luma, *chroma = (np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size) for plane in picture.planes)
        planes = np.empty((3, y1 - y0, x1 - x0), np.uint8)
        planes[0] = luma[y0:y1, x0:x1]
        for values, plane in zip(chroma, planes[1:], strict=True):
            # Each value becomes two bytes, and each row two rows; far faster than enlarging an image.
            twice = (values[top : -(-y1 // 2), left : -(-x1 // 2)] * np.uint16(257)).view(np.uint8)[:, x0 % 2 :][:, : x1 - x0]
            plane[::2] = twice[: len(plane[::2])]
            plane[1::2] = twice[y0 % 2 :][: len(plane[1::2])]
        return planes

    @property
    def size(self) -> tuple[int, int]:
        """The width and height of the upright picture in pixels; zeros if the frame cannot be decoded."""
        if self.picture is None:
            return 0, 0
        size = self.picture.width, self.picture.height
        return size[::-1] if is_turned(display_matrix(self.picture)) else size

    def thumbnail(self, width: int, height: int) -> np.ndarray:
        """Return the stored picture, not turned upright, scaled to `width` by `height` pixels: uint8 (H, W, 3), RGB.

        Far faster than scaling `image()`, because most of the picture is never converted. Raises `Failed` as `image` does.
        """
        if self.picture is None:
            raise Failed("frame cannot be decoded")
        small = {"width": width, "height": height, "format": "rgb24", "interpolation": "FAST_BILINEAR"}
        return np.asarray(converted("thumbnail", self.picture, **small).to_ndarray())


def rgb(picture: "av.VideoFrame", matrix: Matrix, dtype: Depth = np.uint8) -> np.ndarray:
    """Return `picture` as `dtype` (H, W, 3), RGB, rotated and mirrored by `matrix`, a result of `display_matrix`.

    `dtype`: uint8 or uint16; see `VideoFrame.depth`.
    """
    if dtype == np.uint8 and _is_clip(picture):
        image = _rgb_of_clip(picture)
    else:
        converted_picture = converted("image", picture, format="rgb24" if dtype == np.uint8 else "rgb48le")
        pixels = _pixels(converted_picture, 3 * np.dtype(dtype).itemsize).view(dtype)
        image = pixels.reshape(converted_picture.height, converted_picture.width, 3)
        if converted_picture is picture:
            image = image.copy()
    return np.ascontiguousarray(upright(image, matrix))


def rgb_inside(picture: "av.VideoFrame", matrix: Matrix, box: tuple[int, int, int, int], dtype: Depth = np.uint8) -> np.ndarray:
    """Return the part inside `box` of what `rgb` returns; usually little more is converted."""
    x0, y0, x1, y1 = box
    left = top = 0
    if _is_plain(picture, matrix):
        left, top = x0 - x0 % 2, y0 - y0 % 2
        picture = _part(picture, left, top, min(x1 + x1 % 2, picture.width), y1 + y1 % 2)
    return rgb(picture, matrix, dtype)[y0 - top : y1 - top, x0 - left : x1 - left]


def small_planes(picture: "av.VideoFrame", width: int, height: int) -> list[np.ndarray]:
    """Return `picture` scaled by area to `width` by `height` pixels, both even, not turned upright.

    Y, uint8 (H, W), and Cb and Cr, uint8 (H / 2, W / 2), of BT.709, limited range. They share no memory with `picture`.
    """
    from av.video.reformatter import ColorRange, Colorspace

    target = {"dst_colorspace": Colorspace.ITU709, "dst_color_range": ColorRange.MPEG}
    small = converted("planes", picture, width=width, height=height, format="yuv420p", interpolation="AREA", **target)
    planes = planes_of(small)
    # Where nothing is to be done, they would be those of `picture`, which may be painted afterwards.
    return [plane.copy() for plane in planes] if small is picture else planes


def planes_of(picture: "av.VideoFrame") -> list[np.ndarray]:
    """Return the planes of `picture`, which have one component each, as they are stored and writable.

    uint8 (H, W) or, with more than 8 bits, uint16 (H, W).
    """
    planes = []
    for part in picture.format.components:
        plane = picture.planes[part.plane]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: part.height]
        planes.append(rows.view(np.uint8 if part.bits == 8 else np.uint16)[:, : part.width])
    return planes


def new_picture(width: int, height: int) -> "av.VideoFrame":
    """Return a picture of `width` by `height` pixels, both even, of any values: BT.709, limited range, 4:2:0."""
    import av
    from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

    picture = av.VideoFrame(width, height, "yuv420p")
    picture.colorspace, picture.color_range = Colorspace.ITU709, ColorRange.MPEG
    picture.color_primaries, picture.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
    return picture


def is_turned(matrix: Matrix) -> bool:
    """Return whether width and height are exchanged by `matrix`, a result of `display_matrix`."""
    return abs(matrix[1]) > abs(matrix[0])


def upright(image: np.ndarray, matrix: Matrix) -> np.ndarray:
    """Return a view of `image`, (H, W, …), rotated and mirrored by `matrix`, a result of `display_matrix`.

    Only rotations by multiples of 90 degrees and mirrorings are applied.
    """
    a, b, c, d = matrix
    if is_turned(matrix):
        image, a, d = image.swapaxes(0, 1), c, b
    return image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def _is_clip(picture: "av.VideoFrame") -> bool:
    """Return whether `picture` has the format in which the workflow stores clips."""
    from av.video.reformatter import ColorRange, Colorspace

    kind = picture.format.name, picture.colorspace, picture.color_range
    return kind == ("yuv444p", Colorspace.ITU709, ColorRange.MPEG)


def _rgb_of_clip(picture: "av.VideoFrame") -> np.ndarray:
    """Convert `picture`, for which `_is_clip` holds, in an eighth of the time of FFmpeg; few values differ, and by a level."""
    import cv2

    planes = [_pixels(picture, 1, number) for number in range(3)]
    return np.asarray(cv2.transform(cv2.merge(planes), LIMITED_BT709))


def _pixels(picture: "av.VideoFrame", size: int, number: int = 0) -> np.ndarray:
    """Return the bytes of plane `number` of `picture`, which holds `size` bytes for each pixel: uint8 (H, size W)."""
    plane = picture.planes[number]
    # Not `to_ndarray`, which copies: for large frames the copy takes longer than the conversion.
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: picture.height, : size * picture.width]


def _is_plain(picture: "av.VideoFrame", matrix: Matrix) -> bool:
    """Return whether a part of `picture` can be converted alone, with the same colours as in the whole.

    This holds for 4:2:0 formats with 8 bits, of even height, that are shown as stored and progressive. FFmpeg converts others
    differently: it heeds the place of chroma between the pixels, which PyAV does not pass on to a part, and converts interlaced
    pictures by field, because their chroma is subsampled so.
    """
    a, b, _, d = matrix
    is_usual = picture.format.name in ("yuv420p", "yuvj420p") and not picture.interlaced_frame
    return is_usual and picture.height % 2 == 0 and b == 0 and min(a, d) > 0


def _part(picture: "av.VideoFrame", x0: int, y0: int, x1: int, y1: int) -> "av.VideoFrame":
    """Return the part of `picture` in a box; `_is_plain` must hold for it, and `x0`, `y0` and `y1` must be even."""
    import av

    part = av.VideoFrame(x1 - x0, y1 - y0, picture.format.name)
    part.colorspace, part.color_range = picture.colorspace, picture.color_range
    for old, new, step in zip(picture.planes, part.planes, (1, 2, 2), strict=True):
        rows, out = (np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size) for plane in (old, new))
        inside = rows[y0 // step : y1 // step, x0 // step : -(-x1 // step)]
        out[: inside.shape[0], : inside.shape[1]] = inside
    return part


def _pairs(picture: "av.VideoFrame", pairs: np.ndarray) -> "av.VideoFrame":
    """Return the `pairs` of rows of `picture`, which share chroma, one below the other; `_is_plain` must hold for it."""
    import av

    part = av.VideoFrame(picture.width, 2 * len(pairs), picture.format.name)
    part.colorspace, part.color_range = picture.colorspace, picture.color_range
    for old, new in zip(planes_of(picture), planes_of(part), strict=True):
        count = len(old) // (picture.height // 2)
        for number in range(count):
            new[number::count] = old[number::count][pairs]
    return part


def display_matrix(picture: "av.VideoFrame") -> Matrix:
    """Return a, b, c and d: the point (x, y) of `picture` is shown at (a x + c y, b x + d y), up to a translation."""
    data = side_data(picture, "DISPLAYMATRIX")
    if not data:
        return UPRIGHT
    a, b, _, c, d = np.frombuffer(data, np.int32)[:5].tolist()
    return a, b, c, d


def first_field(picture: "av.VideoFrame") -> Field:
    """Return which field of an interlaced `picture` is shown first: t, the top one, or b; None if it is not interlaced."""
    if not picture.interlaced_frame:
        return None
    # PyAV does not say which it is, but a filter does.
    return "t" if _filtered(picture, "select", "eq(interlace_type\\,TOPFIRST)") else "b"


def deinterlaced(picture: "av.VideoFrame") -> "av.VideoFrame":
    """Return `picture` with its first field alone, and rows between that are interpolated along edges.

    By FFmpeg's filter estdif. Filters that look at the frames before and after are better where nothing moves, but would decode
    three times as many frames.
    """
    return _filtered(picture, "estdif", "mode=frame:deint=interlaced") or picture


def _filtered(picture: "av.VideoFrame", name: str, arguments: str) -> "av.VideoFrame | None":
    """Return what the filter `name` of FFmpeg makes of `picture`; None if it lets nothing through."""
    from av.error import BlockingIOError, EOFError
    from av.filter import Graph

    graph = Graph()
    source = graph.add_buffer(
        width=picture.width, height=picture.height, format=picture.format, time_base=picture.time_base or Fraction(1, 25)
    )
    graph.link_nodes(source, graph.add(name, arguments), graph.add("buffersink")).configure()
    graph.vpush(picture)
    graph.vpush(None)
    try:
        return graph.vpull()
    except (BlockingIOError, EOFError):
        return None


def side_data(picture: "av.VideoFrame", name: str) -> bytes:
    """Return the side data of `picture` that PyAV calls `name`; empty if there is none."""
    # Not `picture.side_data`, which makes a reference cycle: dozens of pictures would wait for the garbage collector.
    data: Any = _side_data()(picture).get(name)  # type: ignore[call-arg]  # its stub has no constructor
    return b"" if data is None else bytes(data)


@cache
def _side_data() -> "type[SideDataContainer]":
    """Return the class that reads the side data of a picture, of whatever types."""
    from av.sidedata.sidedata import SideDataContainer, Type

    # It reads all side data of a picture at once, and raises an error if PyAV has no name for the type of one.
    Type._missing_ = classmethod(_unnamed)  # type: ignore[assignment]
    return SideDataContainer


def _unnamed(types: "type[Type]", number: int) -> "Type":
    """Return a member of `types` for side data of a type that has no name there."""
    member = object.__new__(types)
    member._name_ = f"UNNAMED_{number}"
    member._value_ = number  # type: ignore[assignment]  # in its stub, members are their own values
    return member


def require_colours(picture: "av.VideoFrame") -> None:
    """Raise `Failed`, with the fix, if FFmpeg does not convert the colours of `picture`."""
    VideoFrame(0, None, 0.0, picture).thumbnail(16, 16)


def converted(use: str, picture: "av.VideoFrame", **target: Any) -> "av.VideoFrame":
    """Return `picture` as `VideoReformatter.reformat` converts it with the arguments `target`; itself if nothing is to be done.

    `use`: each thread has a converter of its own for each use, because they are expensive to create and not thread-safe.
    Threads may convert the same picture, one after the other; but none may read its tags meanwhile, which are cleared for a
    moment. Raises `Failed` if FFmpeg cannot convert it.
    """
    import av
    from av.video.reformatter import VideoReformatter

    if not hasattr(_local, use):
        setattr(_local, use, VideoReformatter())
    reformatter: VideoReformatter = getattr(_local, use)
    if picture.format.name not in BROKEN:
        try:
            # Scenes that overlap share pictures. If a thread restored the tags of one while another converts it, FFmpeg would
            # convert its transfer function as well.
            with _locks[id(picture) // 64 % len(_locks)]:
                return reformatter.reformat(picture, threads=1, **target)
        except MemoryError:
            raise
        except av.error.FFmpegError:
            pass
    kind, matrix = picture.format, picture.colorspace
    fix = "-pix_fmt gbrp" if kind.is_rgb else "-vf zscale=matrix=709"
    raise Failed(
        "unsupported colours",
        f"FFmpeg cannot convert the pixel format {kind.name} with the colour matrix {MATRICES.get(matrix, matrix)}; convert the"
        f" video first, as with: ffmpeg -i VIDEO {fix} COPY",
    )
