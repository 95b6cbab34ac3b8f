"""Write a copy of a film with other pictures: with the times, colours, orientation and tracks of the original.

The pictures are encoded in parts, which are files of their own, so that a long copy can go on where it stopped. Parts that were
encoded alike are joined without encoding them again.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from tessera.core.ledger import SYSTEMIC
from tessera.imaging.containers import jumps_are_allowed, pixel_aspect, video_track
from tessera.imaging.encodable import closest_format, encodable, formats_of
from tessera.imaging.encode import KEYFRAME_EVERY, Preset, x264_options
from tessera.imaging.frame import UPRIGHT, Field, Matrix, converted, display_matrix, first_field, side_data
from tessera.imaging.spans import Span
from tessera.imaging.tracks import OPTIONS, Moves, TrackCopy, Tracks, copied_tags
from tessera.imaging.video import Packets, demux, open_container, open_video

if TYPE_CHECKING:
    import av
    from av.container import OutputContainer
    from av.container.core import Chapter
    from av.packet import Packet

Codec: TypeAlias = Literal["h264", "hevc", "av1"]
ENCODERS = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1"}
RATES = 1000  # the greatest denominator of a rate, except those of NTSC, such as 30000/1001
SVT_PRESETS = dict(zip(get_args(Preset), range(12, 3, -1), strict=True))  # SVT-AV1's numbers for the names of x264
MICROSECONDS = 1_000_000  # in a second; the unit of the start of a container
PART = ".nut"  # a container that keeps time stamps of every time base
# What a picture may hold beside its pixels, by PyAV's names. What is stated for the whole film is kept in other ways.
ATTACHED = {
    "A53_CC": "closed captions",
    "AFD": "the active format",
    "AMBIENT_VIEWING_ENVIRONMENT": "the ambient light",
    "DOVI_METADATA": "Dolby Vision metadata",
    "DYNAMIC_HDR_PLUS": "HDR10+ metadata",
    "DYNAMIC_HDR_VIVID": "HDR Vivid metadata",
    "GOP_TIMECODE": "timecodes",
    "ICC_PROFILE": "the colour profile",
    "PANSCAN": "the pan and scan window",
    "S12M_TIMECODE": "timecodes",
    "SPHERICAL": "the projection of a sphere",
    "STEREO3D": "the arrangement of a stereo pair",
}


@dataclass(frozen=True)
class Encoding:
    """How pictures are encoded.

    `quantizer`: of x264, constant, 0 to 51, where 0 loses nothing up to 8 bits. For HEVC and AV1, the constant rate factor of
    x265, where 0 loses nothing, and of SVT-AV1: lower is better. `preset`: the speed preset of x264 and x265, or the
    corresponding one of SVT-AV1. `pixel_format`: one of FFmpeg, or that of the pictures, or the closest, if it is None.
    """

    codec: Codec = "h264"
    quantizer: int = 18
    preset: Preset = "ultrafast"
    pixel_format: str | None = None


@dataclass(frozen=True)
class Form:
    """What all pictures of a film have in common in its copy.

    `rate`: about how many frames per second. `time_base`: of the time stamps. `aspect`: of a pixel, width to height. `matrix`:
    how players turn the pictures. `colours`: FFmpeg's numbers of the range, matrix, primaries and transfer. `fields`: which of
    the two fields of a picture is shown first; see `first_field`. `mastering`, `light`: FFmpeg's mastering display metadata and
    content light level. `last`: how long the last frame is shown, in units of `time_base`. `attached`: what the first picture
    holds beside its pixels, in words.
    """

    width: int
    height: int
    pixel_format: str
    rate: Fraction
    time_base: Fraction
    aspect: Fraction
    matrix: Matrix
    colours: tuple[int, int, int, int]
    fields: Field = None
    mastering: bytes = b""
    light: bytes = b""
    last: int = 1
    attached: frozenset[str] = frozenset()


def form_of(
    path: Path, packets: Packets, picture: "av.VideoFrame", encoding: Encoding, time_base: Fraction, rate: Fraction
) -> Form:
    """Return the form of a copy of the film `path`, whose frames are `packets` and whose first picture is `picture`."""
    formats = (encoding.pixel_format,) if encoding.pixel_format else formats_of(ENCODERS[encoding.codec])
    pixel_format = closest_format(picture, formats)
    shown = encodable(picture, pixel_format)
    with open_video(path) as (_, stream):
        aspect = pixel_aspect(stream)
    return Form(
        picture.width,
        picture.height,
        pixel_format,
        rate,
        time_base,
        aspect,
        display_matrix(picture),
        (shown.color_range, shown.colorspace, shown.color_primaries, shown.color_trc),
        # x265 and SVT-AV1 take pictures of one field or none, and x264 takes fields of even height.
        first_field(picture) if encoding.codec == "h264" and picture.height % 4 == 0 else None,
        side_data(picture, "MASTERING_DISPLAY_METADATA"),
        side_data(picture, "CONTENT_LIGHT_LEVEL"),
        max(1, round(Fraction(packets.duration - float(packets.time[-1])) / time_base)),
        _attached(picture),
    )


def _attached(picture: "av.VideoFrame") -> frozenset[str]:
    return frozenset(words for name, words in ATTACHED.items() if side_data(picture, name))


class PictureWriter:
    """Encodes the pictures of a part of a film, one at a time, inside a `with` block.

    Equal pictures give equal bytes: there is one thread, and no date or random identifier in the file. If the block ends with
    an error, the incomplete file stays.
    """

    def __init__(self, path: Path, form: Form, encoding: Encoding) -> None:
        """Write to `path`, whose suffix is `PART`."""
        import av

        self._form = form
        options = {"fflags": "+bitexact", "avoid_negative_ts": "disabled"}
        # With an explicit protocol, FFmpeg does not read the part of the file name before a colon as one.
        self._output = av.open(f"file:{path}", "w", container_options=options)
        self._stream = _add_pictures(self._output, form, encoding)

    def __enter__(self) -> "PictureWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._output:
            if kind is None:
                self._output.mux(self._stream.encode())

    def write(self, picture: "av.VideoFrame", pts: int) -> None:
        """Encode `picture` for the time stamp `pts`, which is written to it.

        Its size, format and colours become those of the film. Raises `Failed` if they cannot be converted.
        """
        form = self._form
        picture = encodable(picture, form.pixel_format)
        color_range, colorspace, *_ = form.colours
        if (picture.width, picture.height, picture.color_range, picture.colorspace) != (
            form.width,
            form.height,
            color_range,
            colorspace,
        ):
            size = {"width": form.width, "height": form.height, "format": form.pixel_format}
            picture = converted("copy", picture, **size, dst_colorspace=colorspace, dst_color_range=color_range)
        picture.pts, picture.time_base = pts, form.time_base
        # The encoder chooses the types of pictures; `picture` may state that of the original.
        picture.pict_type = 0
        self._output.mux(self._stream.encode(picture))


def _add_pictures(output: "OutputContainer", form: Form, encoding: Encoding) -> Any:
    """Add a stream of encoded pictures to `output`."""
    stream: Any = output.add_stream(ENCODERS[encoding.codec], rate=form.rate, options=_options(form, encoding))
    stream.width, stream.height, stream.pix_fmt = form.width, form.height, form.pixel_format
    encoder = stream.codec_context
    encoder.thread_count = 1
    encoder.gop_size = max(1, round(KEYFRAME_EVERY * form.rate))
    encoder.time_base = form.time_base
    encoder.sample_aspect_ratio = form.aspect
    encoder.color_range, encoder.colorspace, encoder.color_primaries, encoder.color_trc = form.colours
    if encoding.codec == "hevc" and output.format.name in ("mp4", "mov"):
        encoder.codec_tag = "hvc1"  # which players of Apple need
    return stream


def _options(form: Form, encoding: Encoding) -> dict[str, str]:
    """Return the options with which equal pictures give equal bytes."""
    display = _mastering(form.mastering)
    light = np.frombuffer(form.light, np.uint32)[:2].tolist()
    level = f"{light[0]},{light[1]}" if any(light) else ""
    if encoding.codec == "h264":
        # With a rate factor, x264 first estimates the cost of each frame. This takes a third of its time and, with the fastest
        # preset, gives no better pictures for the same size.
        options = x264_options(encoding.preset, 0, form.width * form.height) | {"qp": str(encoding.quantizer)}
        if form.fields:
            options["flags"] += "+ildct+ilme"
        extra = {"mastering-display": display, "cll": level, f"{form.fields}ff": "1" if form.fields else ""}
        return options | {"x264-params": ":".join(f"{key}={value}" for key, value in extra.items() if value)}
    if encoding.codec == "hevc":
        # For cutree, see mbtree in `x264_options`.
        # The information about the encoder would name the processor.
        fixed = {"pools": "none", "frame-threads": "1", "wpp": "0", "cutree": "0", "info": "0", "log-level": "none"}
        extra = fixed | {"master-display": display, "max-cll": level}
        params = ":".join(f"{key}={value}" for key, value in extra.items() if value)
        params += "" if encoding.quantizer else ":lossless=1"
        return {"flags": "+bitexact", "preset": encoding.preset, "crf": str(encoding.quantizer), "x265-params": params}
    extra = {"lp": "1", "mastering-display": _mastering(form.mastering, is_decimal=True), "content-light": level}
    params = ":".join(f"{key}={value}" for key, value in extra.items() if value)
    preset = str(SVT_PRESETS[encoding.preset])
    return {"flags": "+bitexact", "preset": preset, "crf": str(encoding.quantizer), "svtav1-params": params}


def _mastering(data: bytes, *, is_decimal: bool = False) -> str:
    """Return FFmpeg's mastering display metadata as the encoders write it: in their units or, `is_decimal`, as numbers."""
    values = np.frombuffer(data, np.int32).tolist()
    if len(values) < 22 or not all(values[20:22]):
        return ""
    numbers = [Fraction(top, bottom or 1) for top, bottom in zip(values[0:20:2], values[1:20:2], strict=True)]
    chroma, light = (1, 1) if is_decimal else (50_000, 10_000)

    def pair(x: Fraction, y: Fraction, unit: int) -> str:
        return "({},{})".format(*(f"{float(number):.4f}" if is_decimal else round(number * unit) for number in (x, y)))

    (red, green, blue, white), (low, high) = zip(numbers[0:8:2], numbers[1:8:2], strict=True), numbers[8:10]
    named = {"G": green, "B": blue, "R": red, "WP": white}
    points = "".join(name + pair(*point, chroma) for name, point in named.items())
    return f"{points}L{pair(high, low, light)}"


def assemble(
    parts: Sequence[Path], form: Form, encoding: Encoding, original: Path, tracks: Tracks, moves: Moves, path: Path
) -> list[str]:
    """Join `parts`, files of `PictureWriter` with the same `form` and `encoding`, and the tracks of the film `original`.

    Return remarks. `path` has the suffix of `tracks`. If the file cannot be written with all tracks, it is written with sound
    alone or, if it still cannot, without. Raises `FFmpegError` if it cannot be written at all, for example because the disk is
    full.
    """
    from av.error import FFmpegError

    lost: list[str] = []
    for fewer, which in ((tracks.only_sound(), "but sound"), (tracks.none(), "sound included")):
        try:
            return [*_assemble(parts, form, encoding, original, tracks, moves, path), *lost]
        except FFmpegError as error:
            if error.errno in SYSTEMIC or not tracks.ways:
                raise
            lost.append(f"all tracks {which} are left out: they cannot be written ({error.strerror})")
            tracks = fewer
    return [*_assemble(parts, form, encoding, original, tracks, moves, path), *lost]


def _assemble(
    parts: Sequence[Path], form: Form, encoding: Encoding, original: Path, tracks: Tracks, moves: Moves, path: Path
) -> list[str]:
    import av

    pts, dts, durations = _stamps(parts, form)
    durations[int(np.argmax(pts))] = form.last
    if tracks.container == "matroska":
        # It has no decoding time stamps. Negative ones would move all tracks.
        dts = np.maximum(dts, min(pts)).tolist()
    options = dict(OPTIONS)
    if tracks.container != "matroska":
        # The finest time scale of MP4 that is a multiple of the time base, where one can be finer than that of Matroska.
        options["video_track_timescale"] = str(form.time_base.denominator)
    with ExitStack() as opened:
        source = opened.enter_context(open_container(original))
        output = opened.enter_context(av.open(f"file:{path}", "w", format=tracks.container, container_options=options))
        # The encoder is opened only to describe the pictures in the same way as in the parts.
        stream = _add_pictures(output, form, encoding)
        if form.matrix != UPRIGHT:
            a, b, c, d = form.matrix
            stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        if shown := video_track(source):
            stream.metadata.update(copied_tags(shown.metadata))
            stream.disposition = shown.disposition
        copy = TrackCopy(original, output, tracks, moves)
        tags = copied_tags(source.metadata)
        output.metadata.update(tags)
        output.set_chapters(_chapters(source.chapters(), moves))
        output.start_encoding()
        others = copy.packets()
        coming = next(others, None)
        for packet, shown_at, decoded_at, lasting in zip(_packets(parts), pts, dts, durations, strict=True):
            while coming is not None and coming[0] <= decoded_at * form.time_base:
                copy.mux(coming[1])
                coming = next(others, None)
            packet.time_base, packet.pts, packet.dts, packet.duration = form.time_base, shown_at, decoded_at, lasting
            packet.stream = stream
            output.mux_one(packet)
        while coming is not None:
            copy.mux(coming[1])
            coming = next(others, None)
    return [*copy.remarks(), *_lost(tags, form, path)]


def _lost(tags: Iterable[str], form: Form, path: Path) -> list[str]:
    """Return in words which of the `tags` of a film its copy `path` does not have, and what its pictures lack of `form`.

    PyAV cannot write the aspect of AV1 to Matroska.
    """
    with open_video(path) as (container, stream):
        missing = sorted({tag.lower() for tag in tags} - {tag.lower() for tag in container.metadata})
        aspect, lost = pixel_aspect(stream), form.attached
        if lost:
            lost -= _attached(next(container.decode(stream)))
    remarks = [f"the tags {', '.join(missing)} are left out: {path.suffix} cannot hold them"] if missing else []
    remarks += [f"{words} in the pictures: left out, because the encoder does not write this" for words in sorted(lost)]
    if abs(aspect / form.aspect - 1) >= 0.01:
        remarks.append(f"the pixel aspect {form.aspect} is left out: it cannot be written to {path.suffix} with this codec")
    return remarks


def _packets(parts: Sequence[Path]) -> "Iterator[Packet[Any]]":
    for path in parts:
        with open_video(path) as (container, stream):
            yield from demux(container, stream)


def _stamps(parts: Sequence[Path], form: Form) -> tuple[list[int], list[int], list[int]]:
    """Return the presentation and decoding time stamps of all packets of `parts` and their durations, in decoding order.

    The container of the parts has no decoding time stamps. They are the presentation time stamps, sorted, and as much earlier
    as the reordering of frames needs.
    """
    pts = np.array([round((packet.pts or 0) * packet.time_base / form.time_base) for packet in _packets(parts)])
    order = np.argsort(pts, kind="stable")
    positions = np.arange(len(pts))
    rank = np.empty_like(positions)
    rank[order] = positions
    gaps = np.diff(pts[order])
    median_gap = max(1, int(np.median(gaps)) if len(gaps) else round(1 / form.rate / form.time_base))
    late = int((positions - rank).max())
    before = pts[order[0]] - median_gap * np.arange(late, 0, -1)
    dts = np.concatenate([before, pts[order]])[: len(pts)]
    return pts.tolist(), dts.tolist(), np.append(gaps, median_gap)[rank].tolist()


def _chapters(chapters: "Sequence[Chapter]", moves: Moves) -> "list[Chapter]":
    """Return those of `chapters` of which something lies in the copy, at their times there."""
    moved: list[Chapter] = []
    for chapter in chapters:
        base = chapter["time_base"] or Fraction(1, 1000)
        start, end = (round(moves.shown(stamp * base) / base) for stamp in (chapter["start"], chapter["end"]))
        if start < end or not moves.spans:
            moved.append({**chapter, "start": start, "end": end})
    return moved


def exact_rate(rate: float) -> Fraction:
    """Return `rate`, in frames per second, exactly: 29.97 and 23.976 are 30000/1001 and 24000/1001."""
    rounded = round(rate * 1.001)
    if abs(rounded / 1.001 - rate) < min(0.006, abs(rounded - rate)):
        return Fraction(rounded * 1000, 1001)
    return max(Fraction(rate).limit_denominator(RATES), Fraction(1, RATES))


def moves_of(path: Path, packets: Packets, spans: Sequence[Span] = ()) -> Moves:
    """Return where the stamps of the film `path`, whose pictures are `packets`, lie in a copy of its `spans`.

    A copy begins when the original begins. Only containers of streams, which begin at any time, are made to begin at 0.
    """
    with open_container(path) as container:
        begins = Fraction(container.start_time or 0, MICROSECONDS) if jumps_are_allowed(container) else Fraction(0)
    if not packets.timed:
        return Moves(spans=spans, end=Fraction(packets.duration))
    shifts = [shift * packets.time_base for shift in packets.shifts]
    first = int(packets.pts[0]) * packets.time_base
    return Moves(begins, first, first + Fraction(packets.duration), spans, shifts)


def stamps_of(packets: Packets, moves: Moves, rate: Fraction | None) -> tuple[Fraction, list[range]]:
    """Return the time base of a copy, and the time stamps at which it shows each frame of the original `packets`.

    Without a `rate`, each frame has one; frames outside of the spans of `moves` have none. With a constant `rate`, in frames
    per second, a frame has one for each frame of the copy to which it is the nearest.
    """
    base = packets.time_base
    times = []
    for pts in packets.pts.tolist():
        offset = moves.offset(pts * base)
        times.append(None if offset is None else pts * base - offset)
    if rate is None:
        return base, [range(0) if time is None else range(round(time / base), round(time / base) + 1) for time in times]
    gap = Fraction(packets.duration) - Fraction(float(packets.time[-1]))
    stamps = []
    for time, following in zip(times, [*times[1:], None], strict=True):
        end = None if time is None else time + gap if following is None else following
        stamps.append(range(0) if time is None or end is None else range(round(time * rate), round(end * rate)))
    return 1 / rate, stamps
