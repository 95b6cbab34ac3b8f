"""Copy everything in a film except its pictures, which are replaced.

What can be copied is decided before a picture is encoded, so that no fault of a sound track costs the work on the pictures.
"""

import io
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import chain, islice
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from tessera.core.ledger import SYSTEMIC
from tessera.core.messages import pluralize
from tessera.imaging.containers import video_track
from tessera.imaging.spans import Span
from tessera.imaging.timeline import AHEAD, FAR_AHEAD, WRONG, Stamps, close_jumps, interpolated
from tessera.imaging.video import demux, open_container

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.resampler import AudioResampler
    from av.container import InputContainer, OutputContainer
    from av.filter import Graph
    from av.packet import Packet
    from av.stream import Stream

SUFFIXES = {"mp4": ".mp4", "mov": ".mov", "matroska": ".mkv"}  # of the containers of copies, by FFmpeg's names of them
LOSSLESS, LOSSY, BITS_PER_CHANNEL = "flac", "aac", 96_000  # how sound is encoded that cannot be copied: bits per second
RATES = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000}  # samples per second that AAC takes and players play
FINE = 1024  # parts of a tick; stamps that are repaired may be closer than ticks
UNKNOWN = -(2**63)  # a stamp that the container does not state
FRAME = 4096  # samples of a frame, where the encoder does not say
TRIED = 3  # packets that are written to try whether a container holds a stream
COVERS = {"mjpeg": "jpg"}  # suffixes of cover pictures, where they differ from FFmpeg's name of the codec
# Tags that describe a file or an encoding. Those of the copy are its own.
MADE = {"encoder", "duration", "major_brand", "minor_version", "compatible_brands", "vendor_id"}
STATISTICS = ("BPS", "NUMBER_OF_", "_STATISTICS_", "DURATION-")
# Without time stamps or random identifiers in the file; codecs that FFmpeg takes for experimental in a container are copied.
OPTIONS = {"fflags": "+bitexact", "strict": "experimental"}
Way: TypeAlias = Literal["copy", "encode", "attach"]


@dataclass(frozen=True)
class Tracks:
    """What a copy of a film has besides its pictures.

    `container`: FFmpeg's name. `ways`: how each stream gets into it, by its index in the original; others are left out.
    `sounds`: the streams of sound. `remarks`: in words, what differs from the original.
    """

    container: str
    ways: dict[int, Way]
    sounds: tuple[int, ...]
    remarks: tuple[str, ...]

    def only_sound(self) -> "Tracks":
        """Return these tracks without all others than sound."""
        return Tracks(self.container, {index: self.ways[index] for index in self.sounds if index in self.ways}, self.sounds, ())

    def none(self) -> "Tracks":
        """Return no tracks at all, in the same container."""
        return Tracks(self.container, {}, (), ())

    @property
    def suffix(self) -> str:
        """The suffix of the file."""
        return SUFFIXES[self.container]


def plan_tracks(path: Path) -> Tracks:
    """Return what a copy of the film `path` has besides its pictures.

    The container is that of the original or, if it cannot hold H.264 or exact times, MP4. There, a stream is copied; sound that
    the container does not hold is encoded again. If something else would be left out, and Matroska holds more, the container
    is Matroska. Raises `Failed` if the file cannot be opened.
    """
    with open_container(path) as container:
        original, streams = video_track(container), list(container.streams)
        others = [stream for stream in streams if stream is not original and not _is_implied(stream, container)]
        first = _own_container(container)
        plans = [(name, {stream.index: _way(path, stream, name) for stream in others}) for name in (first, "matroska")]
        name, ways = min(plans, key=lambda plan: list(plan[1].values()).count(None))
        remarks = [_remark(stream, ways[stream.index], name) for stream in others if ways[stream.index] in ("encode", None)]
        if name != first:
            gained = [_named(stream) for stream in others if plans[0][1][stream.index] is None and ways[stream.index]]
            remarks.append(f"{SUFFIXES[name]} instead of {SUFFIXES[first]}, which cannot hold {', '.join(gained)}")
        sounds = tuple(stream.index for stream in others if stream.type == "audio")
        return Tracks(name, {index: way for index, way in ways.items() if way}, sounds, tuple(remarks))


def _own_container(container: "InputContainer") -> str:
    """Return FFmpeg's name of the container of a copy that is closest to `container`."""
    if "matroska" in container.format.name:
        return "matroska"
    is_quicktime = container.metadata.get("major_brand", "").strip() == "qt"
    return "mov" if "mov" in container.format.name and is_quicktime else "mp4"


def _is_implied(stream: "Stream", container: "InputContainer") -> bool:
    """Return whether `stream` is a track of MP4 or QuickTime for the time code or the chapters, which are written again."""
    is_text = stream.type == "data" and stream.name == "bin_data" and "mov" in container.format.name
    return "timecode" in stream.metadata if stream.type == "data" and not is_text else is_text and bool(container.chapters())


def _way(path: Path, stream: "Stream", container: str) -> Way | None:
    """Return how `stream` gets into a copy in `container`; None if it cannot."""
    from av.stream import AttachmentStream

    is_cover = _is_cover(stream)
    if isinstance(stream, AttachmentStream) or (is_cover and container == "matroska"):
        return "attach" if container == "matroska" else None
    if _holds(container, path, stream):
        return "copy"
    return "encode" if stream.type == "audio" and getattr(stream, "codec_context", None) else None


def _is_cover(stream: "Stream") -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


def _holds(container: str, path: Path, stream: "Stream") -> bool:
    """Return whether a file in `container` can have `stream` of the film `path`, by writing one with its first packets.

    The file is read if it holds data: FFmpeg writes data that it does not know as a track that makes all unreadable.
    """
    import av

    written = io.BytesIO()
    try:
        with (
            open_container(path) as original,
            av.open(written, "w", format=container, container_options=OPTIONS) as output,
        ):
            copy = output.add_stream_from_template(stream, opaque=True)
            output.start_encoding()
            # The first packet of subtitles may come late.
            tried = demux(original, original.streams[stream.index]) if stream.type != "subtitle" else iter(())
            for number, packet in enumerate(islice(tried, TRIED)):
                packet.stream, packet.pts, packet.dts = copy, *[round(number / packet.time_base)] * 2  # a second apart
                output.mux_one(packet)
        if stream.type == "data":
            written.seek(0)
            with av.open(written, format=container) as copied:
                return len(copied.streams) == 1
    except (av.error.FFmpegError, ValueError):
        return False
    return True


def _named(stream: "Stream") -> str:
    codec = getattr(stream.codec_context, "name", "")
    kind = "cover picture" if _is_cover(stream) else {"audio": "sound", "subtitle": "subtitles"}.get(stream.type, stream.type)
    language = stream.metadata.get("language", "").replace("und", "")
    return f"stream {stream.index} ({' '.join(filter(None, (kind, codec, language)))})"


def _remark(stream: "Stream", way: Way | None, container: str) -> str:
    if way == "encode":
        is_lossless = sound_codec(stream) == LOSSLESS
        encoding = "FLAC, without loss" if is_lossless else f"AAC, {BITS_PER_CHANNEL // 1000} kbit/s per channel"
        return f"{_named(stream)} is encoded again as {encoding}: {SUFFIXES[container]} cannot hold it"
    return f"{_named(stream)} is left out: {SUFFIXES[container]} cannot hold it"


@dataclass(frozen=True)
class Moves:
    """Where the stamps of a film lie in its copy.

    `begins`: seconds that are subtracted from all stamps. `first`, `end`: the stamp of the first picture of the original, and
    the end of the last one, in seconds. `spans`: those of its timeline that the copy has, one after the other; none means all.
    `shifts`: seconds that were added to the stamps of the pictures in each part after the first, where recordings were joined.
    """

    begins: Fraction = Fraction(0)
    first: Fraction = Fraction(0)
    end: Fraction | None = None
    spans: Sequence[Span] = ()
    shifts: Sequence[Fraction] = ()

    def offset(self, time: Fraction) -> Fraction | None:
        """Return what is subtracted from a stamp of `time` seconds; None if it lies outside of the spans."""
        if not self.spans:
            return self.begins
        passed = Fraction(0)
        for begin, end in self.spans:
            if begin <= time - self.first < end:
                return self.first + begin - passed
            passed += end - begin
        return None

    def shown(self, time: Fraction) -> Fraction:
        """Return when the copy shows what the original shows at `time`, both in seconds, or what follows it in a span."""
        if not self.spans:
            return time - self.begins
        since = time - self.first
        return sum((min(end, max(begin, since)) - begin for begin, end in self.spans), Fraction(0))


class TrackCopy:
    """Copies the tracks of the film `path` into `output`, between the packets of its pictures."""

    def __init__(self, path: Path, output: "OutputContainer", tracks: Tracks, moves: Moves) -> None:
        """Add `tracks` to `output`, before anything is written to it."""
        self._path, self._output, self._tracks, self._moves = path, output, tracks, moves
        self._streams: dict[int, Any] = {}  # of the output, by the index in the original
        self._names: dict[int, str] = {}  # of the streams of the original, by the index in the output
        self._last: dict[int, int] = {}
        self._refused: Counter[str] = Counter()
        with open_container(path) as container:
            for stream in container.streams:
                way = tracks.ways.get(stream.index)
                if way == "attach":
                    self._attach(container, stream)
                elif way:
                    template = partial(output.add_stream_from_template, opaque=True)
                    output_stream = (partial(add_sound, output) if way == "encode" else template)(stream)
                    output_stream.metadata.update(copied_tags(stream.metadata))
                    output_stream.disposition = stream.disposition
                    self._streams[stream.index] = output_stream
                    self._names[output_stream.index] = _named(stream)

    def _attach(self, container: "InputContainer", stream: Any) -> None:
        codec = getattr(stream.codec_context, "name", "")
        # The picture of a cover is the only packet of its stream.
        data = next((bytes(packet) for packet in demux(container, stream)), b"") if codec else stream.data
        name = stream.metadata.get("filename") or f"cover.{COVERS.get(codec, codec)}"
        kind = stream.metadata.get("mimetype") or f"image/{codec.replace('mjpeg', 'jpeg')}"
        if data:
            self._output.add_attachment(name, kind, data)

    def remarks(self) -> list[str]:
        """Return in words which packets could not be written."""
        return [f"{name}: {pluralize(count, 'packets')} cannot be written" for name, count in self._refused.items()]

    def packets(self) -> Iterator[tuple[float, "Packet[Any]"]]:
        """Yield the packets of the copy with their time in seconds, about in the order of their time."""
        indices = [index for index, way in self._tracks.ways.items() if way != "attach"]
        if not indices:
            return
        repaired = self._repaired(indices)
        with open_container(self._path) as container:
            sounds = {
                index: Sound(container.streams[index], self._streams[index])
                for index in indices
                if self._tracks.ways[index] == "encode"
            }
            for packet in demux(container, *(container.streams[index] for index in indices)):
                stream, base = packet.stream, packet.time_base
                stamps = repaired.get(stream.index)
                pts, dts = next(stamps) if stamps else (packet.pts, packet.dts)
                stamp = dts if pts is None else pts
                offset = None if stamp is None else self._moves.offset(stamp * base)
                if stamp is not None and offset is None:
                    continue
                ticks = round((offset or 0) / base)
                packet.pts, packet.dts = (None if value is None else value - ticks for value in (pts, dts))
                encoded: Iterable[Any] = sounds[stream.index].encode(packet) if stream.index in sounds else [packet]
                yield from self._in_order(stream, encoded)
            for index, sound in sounds.items():
                yield from self._in_order(container.streams[index], sound.encode(None))

    def mux(self, packet: "Packet[Any]") -> None:
        """Write `packet`, one of `packets`. If the container refuses it, it is only counted."""
        from av.error import FFmpegError

        try:
            self._output.mux_one(packet)
        except FFmpegError as error:
            if error.errno in SYSTEMIC:
                raise
            self._refused[self._names[packet.stream.index]] += 1

    def _repaired(self, indices: Sequence[int]) -> dict[int, Iterator[tuple[int | None, int | None]]]:
        """Return the presentation and decoding time stamps of those of the tracks `indices` whose own do not go on evenly."""
        stated = {index: array("q") for index in indices}
        with open_container(self._path) as container:
            streams = {index: container.streams[index] for index in indices}
            for packet in demux(container, *streams.values()):
                stamps = (UNKNOWN if value is None else value for value in (packet.pts, packet.dts))
                stated[packet.stream.index].extend((*stamps, packet.duration or 0))
            bases = {index: stream.time_base or Fraction(1, 1000) for index, stream in streams.items()}
        repaired: dict[int, Iterator[tuple[int | None, int | None]]] = {}
        for index, numbers in stated.items():
            rows = np.array(numbers, np.int64).reshape(-1, 3)
            if index in self._tracks.sounds:
                if not _is_even(rows, AHEAD / bases[index]):
                    repaired[index] = ((stamp, stamp) for stamp in in_line(_stamps(rows), bases[index], self._moves))
            elif self._moves.shifts:
                repaired[index] = ((closed.pts, closed.dts) for closed in _closed(_stamps(rows), bases[index], self._moves))
        return repaired

    def _in_order(self, source: Any, packets: "Iterable[Packet[Any]]") -> Iterator[tuple[float, "Packet[Any]"]]:
        """Yield `packets` of the stream `source` with their time, with decoding time stamps that increase."""
        from av.rational import AVRational

        output_stream = self._streams[source.index]
        for packet in packets:
            packet.rescale_ts(AVRational(output_stream.time_base))
            packet.stream = output_stream
            dts = packet.pts if packet.dts is None else packet.dts
            # Matroska rounds to milliseconds, so that stamps may be equal.
            least = self._last.get(output_stream.index, -(2**62)) + (self._tracks.container != "matroska")
            dts = max(least, 0 if least < -(2**60) else least) if dts is None else max(dts, least)
            packet.dts, packet.pts = dts, dts if packet.pts is None else max(packet.pts, dts)
            self._last[output_stream.index] = dts
            yield float(dts * output_stream.time_base), packet


def _is_even(rows: np.ndarray, longest: float) -> bool:
    """Return whether the packets `rows` go on without a step back, or one ahead by more than `longest` ticks.

    `rows`: int64 (N, 3), the presentation and decoding time stamps and the durations. Stamps may be equal if packets are so
    short that their container rounds them to the same tick.
    """
    steps = np.diff(rows[:, 1].astype(float))  # as floats, which do not overflow
    return bool((rows[:, 1] != UNKNOWN).all() and (steps >= (rows[:-1, 2] > 1)).all() and (steps <= longest).all())


def _stamps(rows: np.ndarray) -> list[Stamps]:
    """Return `rows`, int64 (N, 3), as stamps."""
    return [
        Stamps(None if pts == UNKNOWN else pts, None if dts == UNKNOWN else dts, duration)
        for pts, dts, duration in rows.tolist()
    ]


def _closed(stamps: Sequence[Stamps], time_base: Fraction, moves: Moves) -> list[Stamps]:
    """Return `stamps` without the jumps of joined recordings. With as many jumps as the pictures have, they stay together."""
    shifts = [round(shift / time_base) for shift in moves.shifts]
    return close_jumps(stamps, time_base, None, may_jump=bool(shifts), shifts=shifts)[0]


def in_line(stated: Iterable[Stamps], time_base: Fraction, moves: Moves) -> list[int]:
    """Return a time stamp for each packet of sound, none smaller than the one before it.

    A stamp is wrong that disagrees with those around it, or that leaves a gap that goes on after the film. Packets with a wrong
    stamp or without one lie evenly between the others. Where the stamps go back for good, the sound goes on as if they did not.
    """
    packets = [packet._replace(dts=packet.pts if packet.dts is None else packet.dts) for packet in stated]
    original = [packet.dts for packet in packets]
    closed = _even([packet.dts for packet in _closed(packets, time_base, moves)], packets, time_base, moves)
    if moves.shifts or not original:
        return closed
    plain = _even(original, packets, time_base, moves)
    changed = [sum(new != old for new, old in zip(way, original, strict=True)) for way in (closed, plain)]
    # A few wrong stamps, between others that are right, may look like a jump.
    is_better = changed[1] < min(changed[0], WRONG + 1) and (plain[0], plain[-1]) == (original[0], original[-1])
    return plain if is_better else closed


def _even(stated: list[int | None], packets: Sequence[Stamps], time_base: Fraction, moves: Moves) -> list[int]:
    """Return the stamps `stated` of `packets` with others instead of the missing and the wrong ones; see `in_line`."""
    ahead = AHEAD / time_base
    end = moves.first if moves.end is None else moves.end
    low, high = (moves.first - Fraction(FAR_AHEAD)) / time_base, end / time_base + ahead
    last: int | None = None
    likely: list[int | None] = []
    for stamp in stated:
        is_good = stamp is not None and stamp >= low and (stamp <= high or (last is not None and stamp - last <= ahead))
        likely.append(stamp * FINE if stamp is not None and is_good else None)
        last = stamp if is_good else last
    lasting = [packet.duration for packet in packets if packet.duration > 0]
    gap = int(median(lasting)) if lasting else 1
    if last is None:
        begin = round(moves.first / time_base)
        return [begin + gap * number for number in range(len(stated))]
    stamps: list[int] = (interpolated(likely, gap * FINE) // FINE).tolist()
    return stamps


def copied_tags(metadata: dict[str, str]) -> dict[str, str]:
    """Return `metadata` without what describes the encoding or the file, and not the film."""
    tags = {key: text for key, text in metadata.items() if key.lower() not in MADE and not key.startswith(STATISTICS)}
    # FFmpeg reads the title of a track of MP4 as its name.
    return tags | ({"title": tags["name"]} if "name" in tags and "title" not in tags else {})


def add_sound(output: "OutputContainer", source: Any) -> Any:
    """Add a stream of encoded sound to `output`, for the stream `source`."""
    context = source.codec_context
    layout = {1: "mono", 6: "5.1", 8: "7.1"}.get(context.layout.nb_channels, "stereo")
    rate = context.sample_rate if context.sample_rate in RATES else max(RATES)
    codec = sound_codec(source)
    stream: Any = output.add_stream(codec, rate=rate, layout=layout, options={"flags": "+bitexact"})
    if codec == LOSSLESS:
        stream.format = "s16" if context.format.bytes <= 2 else "s32"
    else:
        stream.bit_rate = BITS_PER_CHANNEL * stream.codec_context.layout.nb_channels
    return stream


def sound_codec(source: Any) -> str:
    """Return how the sound of the stream `source` is encoded again: without loss if it has lost nothing yet."""
    return LOSSLESS if source.codec_context.name.startswith("pcm_") else LOSSY


class Sound:
    """Encodes the sound of a stream again."""

    def __init__(self, source: Any, output_stream: Any) -> None:
        """`output_stream`: the result of `add_sound` for the stream `source`."""
        self._source, self._output_stream = source, output_stream
        self._graph: Graph | None = None
        self._end: int | None = None  # of what was encoded, in samples
        self._resampler: AudioResampler | None = None
        self._kind: tuple[Any, ...] = ()  # of the sound that the resampler takes; it may change within a stream

    def encode(self, packet: "Packet[Any] | None") -> "Iterator[Packet[Any]]":
        """Yield the packets that are complete with `packet`; None ends the sound. What cannot be decoded is left out."""
        from av.error import FFmpegError

        try:
            frames = self._source.codec_context.decode(packet)
        except FFmpegError:
            frames = []
        for frame in frames:
            for plain in self._resampled(frame):
                self._graph = self._graph or self._filters(plain)
                for part in chain(self._silence(plain), [plain]):
                    self._graph.push(part)
                    yield from self._encoded()
        if packet is None and self._graph is not None:
            self._graph.push(None)
            yield from self._encoded()
            yield from self._output_stream.encode(None)

    def _silence(self, frame: "AudioFrame") -> "Iterator[AudioFrame]":
        """Yield seconds of silence up to `frame`. The filters fill a gap as well, but all at once."""
        import av

        begin, rate = frame.pts, frame.sample_rate
        while begin is not None and self._end is not None and begin - self._end > rate:
            silence = av.AudioFrame(frame.format.name, frame.layout.name, rate)
            for plane in silence.planes:
                plane.update(bytes(plane.buffer_size))
            silence.pts, silence.time_base, silence.sample_rate = self._end, frame.time_base, rate
            self._end += rate
            yield silence
        self._end = self._end if begin is None else begin + frame.samples

    def _resampled(self, frame: "AudioFrame") -> "list[AudioFrame]":
        """Return `frame` in the sample format, layout and rate of the encoder."""
        from av.audio.resampler import AudioResampler

        kind = frame.format.name, frame.layout.name, frame.sample_rate
        context = self._output_stream.codec_context
        if kind != self._kind:
            self._kind = kind
            self._resampler = AudioResampler(context.format, context.layout, context.sample_rate)
        assert self._resampler is not None
        frames = list(self._resampler.resample(frame))
        for resampled in frames:
            # Where nothing is to be done, the resampler keeps the time base of the source.
            if resampled.pts is not None and resampled.time_base is not None:
                resampled.pts = round(resampled.pts * resampled.time_base * context.sample_rate)
            resampled.time_base = Fraction(1, context.sample_rate)
        return frames

    def _encoded(self) -> "Iterator[Packet[Any]]":
        from av.error import BlockingIOError, EOFError

        assert self._graph is not None
        while True:
            try:
                frame = self._graph.pull()
            except (BlockingIOError, EOFError):
                return
            yield from self._output_stream.encode(frame)

    def _filters(self, frame: "AudioFrame") -> "Graph":
        """Return filters that give the encoder what it takes, and fill gaps with silence, so that sound and pictures agree."""
        from av.filter import Graph

        context = self._output_stream.codec_context
        graph = Graph()
        graph.link_nodes(
            graph.add_abuffer(
                sample_rate=frame.sample_rate, format=frame.format, layout=frame.layout, time_base=frame.time_base
            ),
            graph.add("aresample", "async=1"),
            graph.add("aformat", f"sample_fmts={context.format.name}"),
            graph.add("asetnsamples", f"n={context.frame_size or FRAME}:p=0"),
            graph.add("abuffersink"),
        ).configure()
        return graph
