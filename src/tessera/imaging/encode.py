"""Encode frames to video."""

from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from av.container import OutputContainer

PixelFormat: TypeAlias = Literal["yuv420p", "yuv444p", "gray"]
KEYFRAME_EVERY = 2  # seconds between keyframes, to which players can seek
SOUGHT_EVERY = 0.5  # seconds between keyframes of clips from which windows are read at random: little is decoded in vain
LARGE = 4_000_000  # pixels of a frame above which x264 holds fewer frames: at 4K this saves 250 MB, but compresses less


class VideoWriter:
    """Encode frames to a video file, one at a time, inside a `with` block.

    Equal frames give equal bytes on any number of cores: there is one thread, and no date or random identifier in the file.
    If the block ends with an error, the incomplete file stays.
    """

    def __init__(
        self,
        path: Path,
        rate: Fraction | float,
        *,
        quality: int = 20,
        preset: str = "veryfast",
        pixel_format: PixelFormat = "yuv420p",
        keyframe_every: float = KEYFRAME_EVERY,
    ) -> None:
        """Write to `path`, whose suffix chooses the container, at `rate` frames per second.

        `pixel_format`: `yuv420p` and `yuv444p` are encoded as H.264, tagged as BT.709. `yuv420p` plays everywhere; an odd side
        is extended by repeating its last row or column. `yuv444p` keeps the colour of each pixel. `gray` is encoded as FFV1,
        which is lossless: use it for masks. For H.264, `quality` is the constant rate factor of x264, 0 to 51, lower is
        better; `preset` is the speed preset of x264; `keyframe_every` is the maximum number of seconds between keyframes.
        """
        self.path = path
        self.rate = max(Fraction(rate).limit_denominator(1001), Fraction(1, 1001))
        self.count = 0
        self._codec = "ffv1" if pixel_format == "gray" else "libx264"
        self._pixel_format = pixel_format
        self._keyframe_every = keyframe_every
        # On processors with AVX-512, x264's macroblock tree reads uninitialized memory, so that the output differs in each run.
        x264 = {"preset": preset, "crf": str(quality), "mbtree": "0"}
        self._options = {"flags": "+bitexact"} | (x264 if self._codec == "libx264" else {})
        self._shape: tuple[int, ...] = ()
        self._container: OutputContainer | None = None
        self._stream: Any = None

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._container is None:
            if kind is None:
                raise ValueError(f"{self.path}: no frames to encode")
        elif kind is None:
            with self._container:
                self._container.mux(self._stream.encode())
        else:
            with suppress(OSError):  # the error that ended the block is raised instead
                self._container.close()

    def write(self, image: np.ndarray) -> None:
        """Encode `image`: uint8 (H, W, 3), RGB; for `gray`, uint8 (H, W).

        Raises `ValueError` if its shape or dtype differs from that of the first.
        """
        self._check(image)
        if self._pixel_format == "yuv420p":
            image = np.pad(image, ((0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0)), mode="edge")
        self._write(image, "gray" if self._pixel_format == "gray" else "rgb24", *image.shape[:2])

    def write_planes(self, planes: np.ndarray) -> None:
        """Encode `planes`: uint8 (3, H, W), Y, Cb and Cr of BT.709, limited range; both sides are even for `yuv420p`.

        Raises `ValueError` if their shape or dtype differs from that of the first.
        """
        self._check(planes)
        self._write(planes, "yuv444p", *planes.shape[1:])

    def _check(self, values: np.ndarray) -> None:
        self._shape = self._shape or values.shape
        if values.shape != self._shape or values.dtype != np.uint8:
            raise ValueError(
                f"{self.path}: frame {self.count} is {values.dtype} {values.shape}, the video needs uint8 {self._shape}"
            )

    def _write(self, values: np.ndarray, kind: str, height: int, width: int) -> None:
        """Encode `values`, an image of `height` by `width` pixels in FFmpeg's pixel format `kind`."""
        import av
        from av.video.reformatter import ColorRange, Colorspace

        container = self._container or self._open(height, width)
        frame = av.VideoFrame.from_ndarray(values, format=kind)
        if kind == "yuv444p":
            frame.colorspace, frame.color_range = Colorspace.ITU709, ColorRange.MPEG
        if kind != self._pixel_format:
            target = {"dst_colorspace": Colorspace.ITU709, "dst_color_range": ColorRange.MPEG}
            frame = self._converter.reformat(frame, format=self._pixel_format, threads=1, **target)
        frame.pts = self.count
        frame.time_base = 1 / self.rate
        container.mux(self._stream.encode(frame))
        self.count += 1

    def _open(self, height: int, width: int) -> "OutputContainer":
        """Open the file for frames of `height` by `width` pixels."""
        import av
        from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter

        few = {"bf": "0"} if self._codec == "libx264" and height * width > LARGE else {}
        # With an explicit protocol, FFmpeg does not read the part of the file name before a colon as one.
        self._container = av.open(f"file:{self.path}", "w", container_options={"fflags": "+bitexact"})
        self._stream = self._container.add_stream(self._codec, rate=self.rate, options=self._options | few)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, self._pixel_format
        self._converter = VideoReformatter()  # expensive to create
        encoder = self._stream.codec_context
        encoder.thread_count = 1
        if self._codec == "libx264":
            encoder.gop_size = max(1, round(self._keyframe_every * self.rate))
            encoder.color_range = ColorRange.MPEG
            encoder.colorspace = Colorspace.ITU709
            encoder.color_primaries = ColorPrimaries.BT709
            encoder.color_trc = ColorTrc.BT709
        return self._container


def write_video(path: Path, frames: Iterable[np.ndarray], rate: Fraction | float, *, quality: int = 20) -> int:
    """Encode `frames` as H.264 to the file `path`, and return the number of frames.

    `frames`: uint8 (H, W, 3), RGB, all of one shape; they are read one at a time. For the other arguments see `VideoWriter`.
    Raises `ValueError` if there are no frames, or if one differs from the first in shape or dtype.
    """
    with VideoWriter(path, rate, quality=quality) as writer:
        for image in frames:
            writer.write(image)
    return writer.count
