"""Read videos: list their frames, and decode the wanted ones."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from tessera.core.errors import Failed
from tessera.core.files import open_file, quoted
from tessera.imaging.bitstream import WITH_HEADERS, is_hidden, is_incomplete
from tessera.imaging.containers import (
    CONTAINERS,
    GUESSED_RATE,
    MAX_PIXELS,
    jumps_are_allowed,
    pixel_aspect,
    video_track,
)
from tessera.imaging.frame import VideoFrame
from tessera.imaging.timeline import Stamps, arrange

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

# Threads of a decoder. Fixed, and not the number of cores, because the pictures decoded from a damaged stream depend on it.
THREADS = 4
SHORT = 60  # frames; a part with fewer is not worth a decoder of its own
SKIPPING = ("h264", "hevc")  # codecs whose decoder can leave out a frame that no other one refers to
HELD = 8  # pictures that wait for one that comes late, because its stamp is wrong, before it is taken for lost
LEAP = 256  # packets; over a shorter distance, reading on is faster than seeking


@dataclass(frozen=True)
class Packets:
    """The frames of a video stream in presentation order, according to its packets; see `tessera.imaging.timeline`.

    `pts`: int64 (N,), strictly increasing, in units of `time_base`. `time`: float64 (N,), seconds since the first frame.
    `keyframe`: bool (N,), whether decoding from this frame on gives complete pictures. `position`: int64 (N,), of its packet
    in decoding order. `dts`: int64 (N,), the decoding time stamp in the container, which is used to seek. `marks`: int64
    (M,), by which each packet of the stream is recognised, in decoding order. `timed`: whether the container has time stamps;
    otherwise `pts` is the number of the frame. `shifts`: the ticks that were added to the stamps of each part after the first,
    where recordings were joined. `duration`: seconds, to the end of the last frame. `aspect`: width of a stored pixel relative
    to its height.
    """

    pts: np.ndarray
    time: np.ndarray
    keyframe: np.ndarray
    position: np.ndarray
    dts: np.ndarray
    marks: np.ndarray
    timed: bool
    time_base: Fraction
    shifts: tuple[int, ...]
    duration: float
    aspect: Fraction = Fraction(1)

    def __len__(self) -> int:
        return len(self.pts)


@contextmanager
def open_container(path: Path) -> Iterator["InputContainer"]:
    """Open the media file `path`. No other file is read, whatever this one refers to. Raises `Failed` if it is none."""
    import av
    from av.container import Flags

    with open_file(path) as file:
        try:
            # As an open file and without protocols, so that FFmpeg reads no other file.
            options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "none"}
            # Tags, such as titles, are often in other encodings than UTF-8.
            container = av.open(file, "r", options=options, metadata_errors="replace")
        except MemoryError:
            raise
        except av.error.FFmpegError as error:
            raise Failed(
                "not a media file",
                f"{quoted(path)} is not a supported video or image ({error.strerror}); list MP4, Matroska, AVI, MPEG-TS or"
                " similar files, and the videos themselves instead of a playlist",
            ) from None
        with container:
            # If a container such as AVI has no time stamps, FFmpeg generates them, and they can be wrong.
            container.flags &= ~cast(int, Flags.gen_pts.value)
            yield container


@contextmanager
def open_video(path: Path, threads: int = THREADS) -> Iterator[tuple["InputContainer", "VideoStream"]]:
    """Open `path`: yield the container and its video stream; see `video_track`. `threads`: threads of the decoder.

    Raises `Failed` if the file is not a media file, or has no such stream.
    """
    with open_container(path) as container:
        stream = video_track(container)
        if stream is None or stream.codec_context is None:
            raise Failed("no video stream", "the file has none, or FFmpeg has no decoder for it")
        stream.thread_type = "AUTO"
        decoder = stream.codec_context
        decoder.thread_count = 1 if decoder.name in WITH_HEADERS else threads
        # The size of the pictures may grow within a stream, after it was checked.
        decoder.options = {"max_pixels": str(MAX_PIXELS)}
        crop_exactly(decoder)
        yield container, stream


def crop_exactly(decoder: Any) -> None:
    """Let `decoder` cut off all margins that the stream asks to cut off. By default it keeps some, for speed."""
    from av.codec.context import Flags

    decoder.flags |= Flags.unaligned


def read_packets(path: Path) -> Packets:
    """Return the frames of the video `path`, found by reading all packets, mostly without decoding them.

    The declared number of frames is not used. Reading ends where the container is truncated or damaged. Raises `Failed` if
    there is no video stream or no frame in it.
    """
    with open_video(path) as (container, stream):
        packet_list = PacketList(container, stream)
        for packet in demux(container, stream):
            packet_list.add(packet)
        return packet_list.packets(path)


class PacketList:
    """Gathers what is known about the packets of a video stream, one at a time in decoding order."""

    def __init__(self, container: "InputContainer", stream: "VideoStream") -> None:
        self._container, self._stream = container, stream
        # As the container states it: a decoder may know better once it has decoded something, and not all readers decode.
        self._delay = stream.codec_context.reorder_depth
        self._is_started = self._is_joined = False
        self._marks: list[int] = []
        self._shown: list[tuple[int, bool, Stamps]] = []  # position, whether it is a keyframe, and its stamps

    def add(self, packet: "Packet[VideoStream]") -> None:
        """Add the next packet of the stream, unless it is empty."""
        if packet.size:
            if packet.is_keyframe and not self._is_started:
                # No frame before the first keyframe can be decoded.
                self._is_started = True
                self._shown.clear()
            if _is_shown(packet, self._stream):
                row = len(self._marks), _is_keyframe(packet, self._stream), Stamps(packet.pts, packet.dts, packet.duration or 0)
                self._shown.append(row)
            elif not packet.is_discard and self._stream.codec_context.name in WITH_HEADERS:
                self._is_joined = True
            self._marks.append(_mark(packet))

    def packets(self, path: Path) -> Packets:
        """Return the frames. `path`: the video, which is decoded if its stamps leave the order of its frames open.

        Raises `Failed` if there are none.
        """
        if not self._shown:
            raise Failed("no frames", "the video stream contains no packet")
        stream = self._stream
        positions, keyframe, stamps = zip(*self._shown, strict=True)
        rate = stream.average_rate or stream.guessed_rate or Fraction(GUESSED_RATE)
        time_base = stream.time_base or 1 / rate
        may_jump = jumps_are_allowed(self._container)
        line = arrange(stamps, time_base, rate, self._delay, lambda: _decoded(path, positions), may_jump=may_jump)
        if not len(line.order):
            raise Failed("no frames", "no frame of the video stream can be decoded")
        dts = np.array([0 if stamp is None else stamp for stamp in (s.pts if s.dts is None else s.dts for s in stamps)])
        # Unsigned, because the difference between a positive and a negative time stamp may exceed int64.
        ticks = (line.pts - line.pts[0]).view(np.uint64)
        base = time_base if line.is_timed else 1 / rate
        last = (stamps[line.order[-1]].duration if line.is_timed else 1) or line.gap
        return Packets(
            pts=line.pts,
            time=ticks * float(base),
            # A part of joined recordings cannot be decoded without its header, which lies before its keyframe.
            keyframe=np.array(keyframe)[line.order] & (not self._is_joined),
            position=np.array(positions)[line.order],
            dts=dts[line.order],
            marks=np.array(self._marks, np.int64),
            timed=line.is_timed,
            time_base=base,
            shifts=tuple(shift for _, shift in line.jumps),
            duration=float((int(ticks[-1]) + last) * base),
            aspect=pixel_aspect(stream),
        )


def _mark(packet: "Packet[Any]") -> int:
    """Return a number by which `packet` is recognised after a seek."""
    return hash(tuple(-1 if field is None else field for field in (packet.pos, packet.pts, packet.dts, packet.size)))


def _decoded(path: Path, positions: Sequence[int]) -> list[tuple[int, int | None]]:
    """Decode the video `path`; see the argument `decoded` of `arrange`. `positions`: its packets that hold frames.

    Frames that are lost to an error come after those that are before them in decoding order.
    """
    from av.error import FFmpegError

    number_at = {position: number for number, position in enumerate(positions)}
    decoded: list[tuple[int, int | None]] = []
    lost: list[int] = []
    # With one thread, a frame comes, and an error is raised, with the packet that causes it.
    with open_video(path, threads=1) as (container, stream):
        decoder = stream.codec_context
        decoder.options = decoder.options | {"skip_loop_filter": "all"}
        for position, packet in enumerate(chain(demux(container, stream), [None])):
            released = number_at.get(position)
            if packet is not None:
                packet.pts = position
            try:
                pictures = decoder.decode(packet)
            except FFmpegError:
                lost += [] if released is None else [released]
            else:
                decoded += [(number_at[picture.pts], released) for picture in pictures if picture.pts in number_at]
    order = [number for number, _ in decoded]
    for number in lost:
        if number not in order:
            decoded.insert(sum(earlier < number for earlier in order), (number, None))
    return decoded


def parts(packets: Packets, count: int) -> list[range]:
    """Divide the frames of a video into at most `count` ranges of similar length that can be decoded independently."""
    total = len(packets)
    bounds = {0, total}
    if packets.timed:
        keys = np.flatnonzero(packets.keyframe)
        count = min(count, total // SHORT)
        near = np.searchsorted(keys, np.arange(1, count) * total / count)
        bounds |= set(keys[near[near < len(keys)]].tolist())
    return [range(*bound) for bound in pairwise(sorted(bounds))]


def span(packets: Packets, indices: range) -> tuple[int, int]:
    """Return the half-open range of packets, in decoding order, that must be decoded for the consecutive frames `indices`."""
    stretches = list(_stretches(packets, np.array(indices)))
    return stretches[0][0], max(last for _, last, _ in stretches) + 1


def read_frames(
    path: Path, packets: Packets, indices: Iterable[int] | None = None, *, threads: int = THREADS
) -> Iterator[VideoFrame]:
    """Yield the frames `indices` of the video `path`, or all frames if it is None, in presentation order, each once.

    `packets`: the result of `read_packets` for `path`. Only the packets that the wanted frames need are decoded, from the
    keyframe before each and only once; the packets between are skipped. A frame that cannot be decoded is yielded without a
    picture. `threads`: threads of the decoder. One has the lowest total cost, and is enough if several videos or parts are
    read in parallel. Raises `Failed` if the video cannot be opened.
    """
    requested = np.arange(len(packets)) if indices is None else np.unique(np.fromiter(indices, np.int64))
    with _Reader(path, packets, threads) as reader:
        for first, last, stretch in _stretches(packets, requested):
            todo = deque(stretch.tolist())
            asked = set(todo)
            held: dict[int, av.VideoFrame] = {}
            for index, picture in reader.decode(first, last, asked):
                held[index] = picture
                while todo and (todo[0] in held or len(held) > HELD):
                    yield reader.frame(todo[0], held.pop(todo.popleft(), None))
            for index in todo:
                yield reader.frame(index, held.pop(index, None))


def _stretches(packets: Packets, requested: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield runs of packets to decode: the first and last position in decoding order, and the frames of `requested` in it."""
    keys = np.flatnonzero(packets.keyframe)
    keys = keys[np.argsort(packets.position[keys])]
    first = last = -1
    stretch: list[int] = []
    for index in requested.tolist():
        position = int(packets.position[index])
        # Decoding begins at the last keyframe that is neither decoded nor shown after the frame. Some frames that follow a
        # keyframe in the file are shown before it, and need the keyframe before it.
        before = np.searchsorted(packets.position[keys], position, side="right") - 1
        while before >= 0 and keys[before] > index:
            before -= 1
        start = int(packets.position[keys[before]]) if before >= 0 else 0
        if stretch and first <= start <= last + 1:
            last = max(last, position)
        else:
            if stretch:
                yield first, last, np.array(stretch)
            first, last, stretch = start, position, []
        stretch.append(index)
    if stretch:
        yield first, last, np.array(stretch)


class _Reader:
    """Reads the packets of a video in decoding order, and decodes the requested runs of them."""

    def __init__(self, path: Path, packets: Packets, threads: int) -> None:
        self.path = path
        self.packets = packets
        self.threads = threads
        self.seekable = packets.timed
        self.index = {position: index for index, position in enumerate(packets.position.tolist())}
        self.failed = False  # whether the decoder met an error in the current run of packets
        self.opened = ExitStack()

    def __enter__(self) -> "_Reader":
        self._open()
        return self

    def __exit__(self, *error: object) -> None:
        self.opened.close()

    def frame(self, index: int, picture: "av.VideoFrame | None") -> VideoFrame:
        """Return the frame `index` with its `picture`, or None if it was not decoded."""
        pts = int(self.packets.pts[index]) if self.packets.timed else None
        is_damaged = self.failed if picture is None else picture.is_corrupt
        return VideoFrame(index, pts, float(self.packets.time[index]), picture, is_damaged, self.packets.aspect)

    def decode(self, first: int, last: int, asked: Collection[int]) -> Iterator[tuple[int, "av.VideoFrame"]]:
        """Yield the index and the picture of each frame of `asked` in the packets from position `first` to `last`."""
        for picture in self._decode(first, last, {int(self.packets.position[index]) for index in asked}):
            index = None if picture.pts is None else self.index.get(picture.pts)
            if index is not None and index in asked:
                picture.pts = int(self.packets.pts[index])
                yield index, picture

    def _decode(self, first: int, last: int, asked: Collection[int]) -> Iterator["av.VideoFrame"]:
        from av.error import FFmpegError

        self._go_to(first)
        self.failed = False
        decoder = self.stream.codec_context
        skips = decoder.name in SKIPPING
        # Frames that are lost to an error are missing from the output; `read_frames` yields them without a picture.
        while self.position <= last and (packet := next(self.coming, None)) is not None:
            # The decoder passes this number on to the picture, so that the picture is found even if stamps repeat.
            packet.pts = self.position
            if skips:
                # A frame that nobody asks for, and to which no other frame refers, is not decoded.
                decoder.skip_frame = "NONREF" if self.position in self.index and self.position not in asked else "DEFAULT"
            self.position += 1
            try:
                yield from decoder.decode(packet)
            except FFmpegError:
                self.failed = True
        with suppress(FFmpegError):
            yield from decoder.decode(None)
        decoder.flush_buffers()

    def _open(self) -> None:
        self.opened.close()
        self.container, self.stream = self.opened.enter_context(open_video(self.path, self.threads))
        self.coming = demux(self.container, self.stream)
        self.position = 0  # position of the next packet

    def _go_to(self, position: int) -> None:
        if self.seekable and not self.position <= position < self.position + LEAP and not self._seek(position):
            # The container has no index, or a wrong one: read from the beginning.
            self.seekable = False
            self._open()
        while self.position < position and next(self.coming, None) is not None:
            self.position += 1

    def _seek(self, position: int) -> bool:
        """Seek to the packet at `position` or one before it; return whether the container did so."""
        from av.error import FFmpegError

        (indices,) = np.nonzero(self.packets.position == position)
        if not len(indices):
            return False
        with suppress(FFmpegError):
            self.container.seek(int(self.packets.dts[indices[0]]), stream=self.stream)
            self.coming = demux(self.container, self.stream)
            for packet in self.coming:
                (matches,) = np.nonzero(self.packets.marks == _mark(packet))
                if len(matches) == 1:
                    self.position = int(matches[0])
                    self.coming = chain([packet], self.coming)
                    return self.position <= position
        return False


def demux(container: "InputContainer", *streams: "Stream") -> Iterator["Packet[Any]"]:
    """Yield the packets of `streams` to their end, or to the point where the container is truncated or damaged."""
    from av.error import FFmpegError

    with suppress(FFmpegError):
        for packet in container.demux(streams):
            if packet.size:
                yield packet


def _is_shown(packet: "Packet[VideoStream]", stream: "VideoStream") -> bool:
    """Return whether `packet` holds a frame that is shown. Edit lists discard some."""
    decoder = stream.codec_context
    return not packet.is_discard and not is_hidden(memoryview(packet), decoder.name, decoder.extradata or b"")


def _is_keyframe(packet: "Packet[VideoStream]", stream: "VideoStream") -> bool:
    """Return whether decoding from `packet` on gives complete pictures."""
    decoder = stream.codec_context
    return packet.is_keyframe and not is_incomplete(memoryview(packet), decoder.name, decoder.extradata or b"")
