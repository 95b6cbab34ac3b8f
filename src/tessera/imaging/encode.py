"""Encode frames to video."""

from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import av
    from av.container import OutputContainer

Preset: TypeAlias = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"]
PixelFormat: TypeAlias = Literal["yuv420p", "yuv444p", "gray"]
KEYFRAME_EVERY = 2  # seconds between keyframes, to which players can seek
SOUGHT_EVERY = 0.5  # seconds between keyframes of clips from which windows are read at random: little is decoded in vain
BLACK = {"yuv444p": (16, 128, 128), "gray": (0,)}  # the value of each plane; BT.709, limited range
LARGE = 4_000_000  # pixels of a frame above which x264 holds fewer frames: at 4K this saves 250 MB, but compresses less


def x264_options(preset: str, quality: int, pixels: int) -> dict[str, str]:
    """Return the options of x264 with which equal frames of `pixels` pixels give equal bytes; see `VideoWriter`."""
    # On processors with AVX-512, x264's macroblock tree reads uninitialized memory, so that the output differs in each run.
    options = {"flags": "+bitexact", "preset": preset, "mbtree": "0"}
    # With more than 8 bits, a rate factor of 0 is not lossless.
    options |= {"crf": str(quality)} if quality else {"qp": "0"}
    return options | ({"bf": "0"} if pixels > LARGE else {})


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
        self._preset, self._quality = preset, quality
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
        import av

        self._check(image.shape, image.dtype)
        if self._pixel_format == "yuv420p":
            image = np.pad(image, ((0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0)), mode="edge")
        self._write(av.VideoFrame.from_ndarray(image, format="gray" if self._pixel_format == "gray" else "rgb24"))

    def write_planes(self, planes: np.ndarray, pad: tuple[int, int, int, int] = (0, 0, 0, 0)) -> None:
        """Encode `planes` inside a black border of `pad` pixels at the top, bottom, left and right.

        `planes`: uint8 (3, H, W), Y, Cb and Cr of BT.709, limited range; for `gray`, uint8 (1, H, W). For `yuv420p`, both sides
        are even with the border. Raises `ValueError` if the shape with the border, or the dtype, differs from the first.
        """
        import av
        import cv2
        from av.video.reformatter import ColorRange, Colorspace

        top, bottom, left, right = pad
        count, height, width = planes.shape
        height, width = top + height + bottom, left + width + right
        self._check((count, height, width), planes.dtype)
        frame = av.VideoFrame(width, height, "gray" if self._pixel_format == "gray" else "yuv444p")
        for plane, values, black in zip(frame.planes, planes, BLACK[frame.format.name], strict=True):
            # Each value is copied once, into the memory that the encoder reads: for large frames, copies take long.
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(height, plane.line_size)
            cv2.copyMakeBorder(values, *pad, cv2.BORDER_CONSTANT, rows[:, :width], black)
        if len(planes) == 3:
            frame.colorspace, frame.color_range = Colorspace.ITU709, ColorRange.MPEG
        self._write(frame)

    def _check(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._shape = self._shape or shape
        if shape != self._shape or dtype != np.uint8:
            raise ValueError(f"{self.path}: frame {self.count} is {dtype} {shape}, the video needs uint8 {self._shape}")

    def _write(self, frame: "av.VideoFrame") -> None:
        from av.video.reformatter import ColorRange, Colorspace

        container = self._container or self._open(frame.height, frame.width)
        if frame.format.name != self._pixel_format:
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

        is_x264 = self._codec == "libx264"
        options = x264_options(self._preset, self._quality, height * width) if is_x264 else {"flags": "+bitexact"}
        # With an explicit protocol, FFmpeg does not read the part of the file name before a colon as one.
        self._container = av.open(f"file:{self.path}", "w", container_options={"fflags": "+bitexact"})
        self._stream = self._container.add_stream(self._codec, rate=self.rate, options=options)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, self._pixel_format
        self._converter = VideoReformatter()  # expensive to create
        encoder = self._stream.codec_context
        encoder.thread_count = 1
        if is_x264:
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
