"""Read videos: list their frames, and decode the wanted ones."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from tessera.core.errors import Failed
from tessera.core.files import open_file
from tessera.imaging.containers import CONTAINERS, GUESSED_RATE, MAX_PIXELS, is_shown
from tessera.imaging.frame import VideoFrame
from tessera.imaging.h264 import is_refreshed

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

# Threads of a decoder. Fixed, and not the number of cores, because the pictures decoded from a damaged stream depend on it.
THREADS = 4
SHORT = 60  # frames; a part with fewer is not worth a decoder of its own
LEAP = 256  # packets; over a shorter distance, reading on is faster than seeking


@dataclass(frozen=True)
class Packets:
    """The frames of a video stream in presentation order, according to its packets.

    `pts`: int64 (N,), in the time base of the stream. `time`: float64 (N,), seconds since the first frame. `keyframe`: bool
    (N,), whether decoding from this frame on gives complete pictures. `place`: int64 (N,), the position of the packet in
    decoding order. `dts`: int64 (N,), its decoding time stamp, which is used to seek. `timed`: whether every packet has a
    unique time stamp; otherwise `pts` is the number of the frame.
    """

    pts: np.ndarray
    time: np.ndarray
    keyframe: np.ndarray
    place: np.ndarray
    dts: np.ndarray
    timed: bool

    def index(self, pts: int | None) -> int | None:
        """Return the index of the frame with time stamp `pts`, or None."""
        if pts is None:
            return None
        index = int(np.searchsorted(self.pts, pts))
        return index if index < len(self) and self.pts[index] == pts else None

    def __len__(self) -> int:
        return len(self.pts)


@contextmanager
def open_video(path: Path, threads: int = THREADS) -> Iterator[tuple["InputContainer", "VideoStream"]]:
    """Open `path`: yield the container and its first video stream that is not an attached picture.

    `threads`: threads of the decoder. No other file is read, whatever this one refers to. Raises `Failed` if the file is not
    a media file, or has no such stream.
    """
    import av
    from av.container import Flags
    from av.stream import Disposition

    with open_file(path) as file:
        try:
            options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "none"}
            # Tags, such as titles, are often in other encodings than UTF-8. No tag is used.
            container = av.open(file, "r", options=options, metadata_errors="replace")
        except av.error.FFmpegError as error:
            raise Failed("not a media file", str(error.strerror)) from None
        with container:
            # If a container such as AVI has no time stamps, FFmpeg generates them, and they can be wrong.
            container.flags &= ~cast(int, Flags.gen_pts.value)
            streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
            if not streams or streams[0].codec_context is None:
                raise Failed("no video stream", "the file has none, or FFmpeg has no decoder for it")
            stream = streams[0]
            stream.thread_type = "AUTO"
            stream.codec_context.thread_count = threads
            # The size of the pictures may grow within a stream, after it was checked.
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            yield container, stream


def read_packets(path: Path) -> Packets:
    """Return the frames of the video `path`, found by reading all packets without decoding them.

    The declared number of frames is not used. Reading ends where the container is truncated or damaged. Raises `Failed` if
    there is no video stream or no packet in it.
    """
    with open_video(path) as (container, stream):
        rows = [
            (packet.pts, _is_keyframe(packet, stream), place, packet.pts if packet.dts is None else packet.dts)
            for place, packet in enumerate(demux(container, stream))
            if is_shown(packet, stream.codec_context.name)
        ]
        time_base = stream.time_base
        rate = stream.average_rate or stream.guessed_rate or GUESSED_RATE
    if not rows:
        raise Failed("no frames", "the video stream contains no packet")
    stamps, keyframe, place, dts = (np.array(column) for column in zip(*rows, strict=True))
    if time_base is None or stamps.dtype == object or len(np.unique(stamps)) < len(stamps):
        count = np.arange(len(rows))
        return Packets(count, count / float(rate), keyframe, place, count, timed=False)
    order = np.argsort(stamps)
    pts = stamps[order]
    # Unsigned, because the difference between a positive and a negative time stamp may exceed int64.
    time = (pts - pts[0]).view(np.uint64) * float(time_base)
    return Packets(pts, time, keyframe[order], place[order], dts[order], timed=True)


def parts(packets: Packets, count: int) -> list[range]:
    """Divide the frames of a video into at most `count` ranges of similar length that can be decoded independently."""
    total = len(packets)
    bounds = {0, total}
    if packets.timed:
        keys = np.flatnonzero(packets.keyframe)
        count = min(count, total // SHORT)
        near = np.searchsorted(keys, np.arange(1, count) * total / count)
        bounds |= set(keys[near[near < len(keys)]].tolist())
    return [range(*each) for each in pairwise(sorted(bounds))]


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
    wanted = np.arange(len(packets)) if indices is None else np.unique(np.fromiter(indices, np.int64))
    with _Reader(path, packets, threads) as reader:
        for first, last, stretch in _stretches(packets, wanted):
            todo = iter(stretch.tolist())
            index = next(todo, None)
            for found, picture in reader.decode(first, last):
                while index is not None and index < found:
                    yield _frame(packets, index, None, reader.failed)
                    index = next(todo, None)
                if index == found:
                    yield _frame(packets, index, picture, picture.is_corrupt)
                    index = next(todo, None)
            while index is not None:
                yield _frame(packets, index, None, reader.failed)
                index = next(todo, None)


def _frame(packets: Packets, index: int, picture: "av.VideoFrame | None", is_damaged: bool) -> VideoFrame:
    pts = int(packets.pts[index]) if packets.timed else None
    return VideoFrame(index, pts, float(packets.time[index]), picture, is_damaged)


def _stretches(packets: Packets, wanted: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield runs of packets to decode: the first and last position in decoding order, and the frames of `wanted` in it."""
    if not packets.timed:
        yield 0, int(packets.place[-1]), wanted
        return
    keys = np.flatnonzero(packets.keyframe)
    keys = keys[np.argsort(packets.place[keys])]
    first = last = -1
    stretch: list[int] = []
    for index in wanted.tolist():
        place = int(packets.place[index])
        # Decoding begins at the last keyframe that is neither decoded nor shown after the frame. Some frames that follow a
        # keyframe in the file are shown before it, and need the keyframe before it.
        before = np.searchsorted(packets.place[keys], place, side="right") - 1
        while before >= 0 and packets.pts[keys[before]] > packets.pts[index]:
            before -= 1
        start = int(packets.place[keys[before]]) if before >= 0 else 0
        if stretch and first <= start <= last + 1:
            last = max(last, place)
        else:
            if stretch:
                yield first, last, np.array(stretch)
            first, last, stretch = start, place, []
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
        self.failed = False  # whether the decoder met an error in the current run of packets
        self.opened = ExitStack()

    def __enter__(self) -> "_Reader":
        self._open()
        return self

    def __exit__(self, *error: object) -> None:
        self.opened.close()

    def decode(self, first: int, last: int) -> Iterator[tuple[int, "av.VideoFrame"]]:
        """Yield the index and the picture of each frame in the packets from position `first` to `last`."""
        for count, picture in enumerate(self._decode(first, last)):
            index = self.packets.index(picture.pts) if self.packets.timed else count
            if index is not None:
                yield index, picture

    def _decode(self, first: int, last: int) -> Iterator["av.VideoFrame"]:
        from av.error import FFmpegError

        self._go_to(first)
        self.failed = False
        decoder = self.stream.codec_context
        # Frames that are lost to an error are missing from the output; `read_frames` yields them without a picture.
        while self.place <= last and (packet := next(self.coming, None)) is not None:
            self.place += 1
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
        self.place = 0  # position of the next packet

    def _go_to(self, place: int) -> None:
        if self.seekable and not self.place <= place < self.place + LEAP and not self._seek(place):
            # The container has no index, or a wrong one: read from the beginning.
            self.seekable = False
            self._open()
        while self.place < place and next(self.coming, None) is not None:
            self.place += 1

    def _seek(self, place: int) -> bool:
        """Seek to the packet at `place` or one before it; return whether the container did so."""
        from av.error import FFmpegError

        (indices,) = np.nonzero(self.packets.place == place)
        if not len(indices):
            return False
        with suppress(FFmpegError):
            self.container.seek(int(self.packets.dts[indices[0]]), stream=self.stream)
            self.coming = demux(self.container, self.stream)
            for packet in self.coming:
                found = None if packet.is_discard else self.packets.index(packet.pts)
                if found is not None:
                    self.place = int(self.packets.place[found])
                    self.coming = chain([packet], self.coming)
                    return self.place <= place
        return False


def demux(container: "InputContainer", *streams: "Stream") -> Iterator["Packet[Any]"]:
    """Yield the packets of `streams` to their end, or to the point where the container is truncated or damaged."""
    from av.error import FFmpegError

    with suppress(FFmpegError):
        for packet in container.demux(streams):
            if packet.size:
                yield packet


def _is_keyframe(packet: "Packet[VideoStream]", stream: "VideoStream") -> bool:
    """Return whether decoding from `packet` on gives complete pictures."""
    decoder = stream.codec_context
    return packet.is_keyframe and not (decoder.name == "h264" and is_refreshed(memoryview(packet), decoder.extradata or b""))
