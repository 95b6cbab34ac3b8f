"""Write a copy of a video with other pictures: with the times, colours, orientation and sound of the original."""

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tessera.imaging.containers import GUESSED_RATE
from tessera.imaging.encode import KEYFRAME_EVERY, x264_options
from tessera.imaging.frame import UPRIGHT, VideoFrame, display_matrix
from tessera.imaging.video import demux, open_video

if TYPE_CHECKING:
    import av
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet

# The formats that x264 encodes as they are.
ENCODED = {
    *("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "gray"),
    *("yuv420p10le", "yuv422p10le", "yuv444p10le", "gray10le"),
}
MICROSECONDS = 1_000_000  # in a second; the unit of the start of a container


def encodable(picture: "av.VideoFrame") -> "av.VideoFrame":
    """Return `picture` in a format that x264 encodes: `picture` itself or, if it has another one, converted to the closest.

    That has 8 or 10 bits. Its chroma is subsampled as in `picture`, unless a side is odd, which x264 does not accept.
    """
    kind = picture.format
    is_odd = bool(picture.width % 2 or picture.height % 2)
    if kind.name in ENCODED and not (is_odd and "42" in kind.name):
        return picture
    chroma = [] if kind.is_rgb else [part for part in kind.components if not part.is_luma and not part.is_alpha]
    sides = {(part.width < picture.width, part.height < picture.height) for part in chroma}
    sampling = "444" if is_odd else {(True, True): "420", (True, False): "422"}.get(min(sides, default=(False, False)), "444")
    depth = "10le" if max(part.bits for part in kind.components) > 8 else ""
    name = kind.name if kind.name in ENCODED and not is_odd else f"yuv{sampling}p{depth}"
    return picture.reformat(format=name, threads=1)


def suffix_of_copy(original: Path) -> str:
    """Return the suffix of a file that can hold the sound of the video `original`: `.mp4` or, for other sound, `.mkv`.

    Matroska holds any sound, but it rounds times to milliseconds.
    """
    import io

    import av

    with open_video(original) as (container, _), av.open(io.BytesIO(), "w", format="mp4") as mp4:
        return ".mp4" if {stream.codec_context.name for stream in container.streams.audio} <= mp4.supported_codecs else ".mkv"


class VideoCopy:
    """Encode other pictures for the frames of a video, one at a time, inside a `with` block.

    The copy has the time stamps, the orientation and the sound of the original, and the colours, the size and the format of the
    first picture. The sound is not encoded again. Equal pictures give equal bytes: there is one thread, and no date or random
    identifier in the file. If the block ends with an error, the incomplete file stays.
    """

    def __init__(self, path: Path, original: Path, *, quantizer: int, preset: str, is_upright: bool = False) -> None:
        """Write to `path`, which has the suffix `suffix_of_copy(original)`, for the frames of the video `original`.

        `quantizer`: constant quantizer of x264, 0 to 51, where 0 loses nothing; `preset`: its speed preset. `is_upright`:
        whether the pictures are already upright, so that players must not turn them.
        """
        self.path = path
        self._original = original
        self._quantizer, self._preset, self._is_upright = quantizer, preset, is_upright
        self._opened = ExitStack()
        self._output: OutputContainer | None = None

    def __enter__(self) -> "VideoCopy":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._opened:
            if self._output is not None and kind is None:
                self._output.mux(self._stream.encode())
                for packet in self._sound:
                    self._output.mux(packet)

    def write(self, frame: VideoFrame, picture: "av.VideoFrame") -> None:
        """Encode `picture` for `frame`; frames come in order. The first has a format of `ENCODED`; others are made like it."""
        output = self._output or self._open(frame, picture)
        if (picture.width, picture.height, picture.format.name) != self._form:
            picture = picture.reformat(*self._form, threads=1)
        pts, time_base = frame.index if frame.pts is None else frame.pts - self._start, self._stream.codec_context.time_base
        picture.pts, picture.time_base = pts, time_base
        # The encoder chooses the types of pictures; `picture` may state that of the original.
        picture.pict_type = 0
        for packet in self._until(float(pts * time_base)):
            output.mux(packet)
        output.mux(self._stream.encode(picture))

    def _open(self, frame: VideoFrame, picture: "av.VideoFrame") -> "OutputContainer":
        import av

        container, stream = self._opened.enter_context(open_video(self._original))
        # With an explicit protocol, FFmpeg does not read the part of the file name before a colon as one.
        output = av.open(f"file:{self.path}", "w", container_options={"fflags": "+bitexact"})
        self._output = self._opened.enter_context(output)
        rate = stream.average_rate or stream.guessed_rate or Fraction(GUESSED_RATE)
        # With a rate factor, x264 first estimates the cost of each frame. This takes a third of its time and, with the fastest
        # preset, gives no better pictures for the same size.
        options = x264_options(self._preset, 0, picture.width * picture.height) | {"qp": str(self._quantizer)}
        self._stream: Any = output.add_stream("libx264", rate=rate, options=options)
        self._form = picture.width, picture.height, picture.format.name
        self._stream.width, self._stream.height, self._stream.pix_fmt = self._form
        encoder = self._stream.codec_context
        encoder.thread_count = 1
        encoder.gop_size = max(1, round(KEYFRAME_EVERY * rate))
        # Where packets have no time stamps of their own, the stamp of a frame is its number.
        encoder.time_base = 1 / rate if frame.pts is None or stream.time_base is None else stream.time_base
        encoder.sample_aspect_ratio = stream.sample_aspect_ratio or Fraction(1)
        for name in ("color_range", "colorspace", "color_primaries", "color_trc"):
            setattr(encoder, name, getattr(picture, name))
        a, b, c, d = display_matrix(frame.picture) if frame.picture else UPRIGHT
        if not self._is_upright and (a, b, c, d) != UPRIGHT:
            self._stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        begins = Fraction(container.start_time or 0, MICROSECONDS)
        self._start = round(begins / encoder.time_base)
        self._sound: Iterator[Packet[Any]] = _copied_sound(container, output, begins)
        return output

    def _until(self, time: float) -> "Iterator[Packet[Any]]":
        """Yield the packets of sound that are decoded up to `time`, in seconds."""
        for packet in self._sound:
            if (packet.dts or 0) * packet.time_base > time:
                self._sound = chain([packet], self._sound)
                return
            yield packet


def _copied_sound(container: "InputContainer", output: "OutputContainer", begins: Fraction) -> "Iterator[Packet[Any]]":
    """Return the packets of all sound in `container` for new streams of `output`, `begins` seconds earlier."""
    sounds = {stream.index: output.add_stream_from_template(stream) for stream in container.streams.audio}

    def packets() -> "Iterator[Packet[Any]]":
        for packet in demux(container, *container.streams.audio) if sounds else ():
            if packet.dts is not None:
                shift = round(begins / packet.time_base)
                packet.pts = (packet.dts if packet.pts is None else packet.pts) - shift
                packet.dts -= shift
                packet.stream = sounds[packet.stream.index]
                yield packet

    return packets()
