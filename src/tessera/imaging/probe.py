"""Probe media files: find their properties by reading them, not by trusting their headers."""

import math
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from tessera.core.errors import Failed
from tessera.core.files import open_file, quoted
from tessera.imaging.bitstream import WITH_HEADERS, is_hidden
from tessera.imaging.containers import MAX_PIXELS, video_track
from tessera.imaging.images import Decoded, decode_image, is_image, read_file
from tessera.imaging.video import PacketList, Packets, crop_exactly, open_container

Check = Literal["packets", "keyframes", "all"]
Look = Callable[[np.ndarray, str], None]
SCANS = {None: "progressive", "t": "interlaced, top field first", "b": "interlaced, bottom field first"}
TAG = 11  # bytes of the header of a tag in FLV
LONGEST_FRAME = 1.0  # seconds of the last frame, by which the duration of an FLV file may exceed the stamp of its last tag
LOOK_EVERY = 0.5  # least seconds between the pictures that `look` gets
BOXES = {b"ftyp", b"moov", b"mdat", b"moof", b"free", b"skip", b"wide", b"uuid", b"meta", b"sidx", b"styp", b"mfra", b"emsg"}


@dataclass(frozen=True)
class Media:
    """The properties of a video or an image; the fields are those of `tables.Sources`."""

    kind: Literal["video", "image"]
    codec: str
    pixel_format: str
    width: int
    height: int
    rotation: int
    frames: int
    container: str | None = None
    scan: str | None = None
    average_rate: float | None = None
    nominal_rate: float | None = None
    variable_rate: bool | None = None
    duration: float | None = None
    streams: tuple[str, ...] | None = None


def probe(path: Path, check: Check, look: Look | None = None) -> Media:
    """Probe the file `path`: as an image if `is_image` says so, otherwise as a video. See `media_of`, `probe_video`."""
    if is_image(path):
        return media_of(decode_image(read_file(path), quoted(path)))
    return probe_video(path, check, look)


def media_of(picture: Decoded) -> Media:
    """Return the properties of the image that was read as `picture`."""
    height, width = picture.pixels.shape[:2]
    return Media("image", picture.format.lower(), picture.mode, width, height, picture.rotation, 1)


def probe_video(path: Path, check: Check, look: Look | None = None) -> Media:
    """Return the properties of the first video stream of `path`, after reading all of its packets.

    `check` says which frames are decoded to find damage. `packets`: the first one; all packets are read in any case, which
    finds truncated files. `keyframes`: every keyframe; the decoder parses the structure of all other packets. `all`: every
    frame. `look` is called with frames, upright, uint8 (H, W, 3), RGB, and their time as text: the first decoded frame, and
    each that comes at least half a second after the last; for it, keyframes are decoded even if `check` is `packets`.
    Raises `Failed` if there is no video stream, if it is truncated or damaged, or if its colours are not supported.
    """
    from tessera.imaging.frame import first_field

    with open_file(path) as file:
        _require_whole(file, path)
    first, packets, stated = _read(path, check, look)
    rotation = _rotation(first)
    width, height = (first.width, first.height) if rotation % 180 == 0 else (first.height, first.width)
    return Media(
        kind="video",
        pixel_format=first.format.name,
        width=width,
        height=height,
        rotation=rotation,
        scan=SCANS[first_field(first)],
        average_rate=len(packets) / packets.duration if packets.duration else None,
        variable_rate=_varies(packets),
        frames=len(packets),
        duration=packets.duration,
        **stated,
    )


def _read(path: Path, check: Check, look: Look | None, *, at_once: bool = False) -> tuple[Any, Packets, dict[str, Any]]:
    """Read all packets of the video `path`, and decode what `check` asks for.

    `at_once`: whether to decode from the first packet on, instead of the first keyframe. Return the first decoded frame, all
    frames by their packets, and what the container states.
    """
    from tessera.imaging.frame import VideoFrame, require_colours

    with open_container(path) as container:
        video, stated = _stated(container, path)
        first = None
        shown_at = -math.inf
        packet_list = PacketList(container, video)
        doubt = False
        for packet, frames in _decode(video, path, check, look is not None, at_once=at_once):
            packet_list.add(packet)
            doubt = doubt or packet.is_corrupt
            for frame in frames:
                first = first or frame
                if look is not None and (frame.time is None or abs(frame.time - shown_at) >= LOOK_EVERY):
                    shown_at = frame.time or 0.0
                    look(VideoFrame(0, None, shown_at, frame).image(), f"at {shown_at:.3f} s")
        # The keyframes may lie before the first frame that an edit list shows. And where recordings were joined, the container
        # takes packets for damaged that are not.
        # Some containers do not say which frames are keyframes.
        if (check != "all" and (first is None or doubt)) or (first is None and not at_once):
            return _read(path, "all", look, at_once=first is None)
        if first is None:
            raise Failed("no frames", f"{quoted(path)}: no frame of its video stream can be decoded; copy it again")
        require_colours(first)
        return first, packet_list.packets(path), stated


def _stated(container: Any, path: Path) -> tuple[Any, dict[str, Any]]:
    """Return the video stream of `container`, and the fields of `Media` that it states. Raises `Failed` if it has no video."""
    from av.stream import Disposition

    def kind(stream: Any) -> str:
        is_picture = stream.type == "video" and stream.disposition & Disposition.attached_pic
        return " ".join(filter(None, ["picture" if is_picture else stream.type, getattr(stream.codec_context, "name", "")]))

    streams = tuple(map(kind, container.streams))
    video = video_track(container)
    if video is None:
        held = "audio only" if container.streams.audio else ", ".join(streams) or "no streams"
        raise Failed("no video stream", f"{quoted(path)} contains {held}; remove it from the manifest")
    if video.codec_context is None:
        raise Failed("unknown codec", f"{quoted(path)}: FFmpeg has no decoder for its video; convert it to H.264")
    return video, {
        "container": container.format.name,
        "codec": video.codec_context.name,
        "nominal_rate": float(video.base_rate) if video.base_rate else None,
        "streams": streams,
    }


def _decode(video: Any, path: Path, check: Check, must_decode: bool, *, at_once: bool) -> Iterator[tuple[Any, list[Any]]]:
    """Yield each packet of `video` with the frames that the decoder returns after it."""
    import av

    context = video.codec_context
    context.thread_count = 1
    crop_exactly(context)
    context.options = {"err_detect": "explode", "max_pixels": str(MAX_PIXELS)}
    if check != "all":
        # The decoder still gets every packet: it checks its structure before it skips it, which costs little.
        context.skip_frame = "NONKEY"
    begins = None  # the stamp of the first keyframe, until the second comes
    started, lacks, done = at_once, False, False
    position = 0.0
    packets = _packets(video)
    try:
        packet = next(packets, None)
        while packet is not None:
            following = next(packets, None)
            # In a recording that was cut, packets before the first keyframe cannot be decoded. If some that follow it are shown
            # before it, these and others up to the second keyframe may refer to what was cut off.
            stamp = packet.dts if packet.pts is None else packet.pts
            if packet.is_keyframe:
                started, lacks, begins = True, False, None if started else stamp
            elif begins is not None and (stamp is None or stamp < begins):
                lacks = True
            if packet.dts is not None:
                position = float((packet.dts - (video.start_time or 0)) * packet.time_base)
            if packet.is_corrupt and not (following and following.size):
                raise _truncated(path)
            frames = []
            # An empty packet repeats a frame, unless it is the last, which ends the stream.
            is_frame = packet.size > 0 or following is None
            if is_frame and started and not done and (check == "all" or not packet.is_corrupt):
                is_header = packet.size and context.name in WITH_HEADERS and is_hidden(memoryview(packet), context.name)
                with suppress(av.error.FFmpegError) if lacks or is_header else nullcontext():
                    frames = packet.decode()
            done = done or (check == "packets" and not must_decode and bool(frames))
            yield packet, frames
            packet = following
    except MemoryError:
        raise
    except av.error.FFmpegError as error:
        raise Failed(
            "corrupted",
            f"{quoted(path)} cannot be decoded near {position:.1f} s ({error.strerror}); copy it again, or re-encode it",
        ) from None


def _packets(video: Any) -> Iterator[Any]:
    """Yield the packets of `video`, with an empty one at the end. Raises `FFmpegError` if the container is damaged."""
    import av

    try:
        yield from video.container.demux(video)
    except av.error.MemoryError as error:
        # A packet states an absurd size. What is lacking is not the memory of this machine, which others report.
        raise av.error.InvalidDataError(error.errno or 0, "a packet states an absurd size") from None


def _varies(packets: Packets) -> bool | None:
    """Return whether the gaps between frames differ; None without time stamps."""
    if not packets.timed:
        return None
    gaps = np.diff(packets.pts)
    # A difference of one tick is rounding, unless ticks are nearly as long as frames.
    spread = int(gaps.max() - gaps.min()) if len(gaps) else 0
    return spread > 1 or (spread == 1 and int(gaps.min()) < 4)


def _rotation(frame: Any) -> int:
    return int(round(frame.rotation / 90) % 4 * 90)


def _require_whole(file: BinaryIO, path: Path) -> None:
    """Raise `Failed` if the file ends before its declared end or before its index."""
    size = os.fstat(file.fileno()).st_size
    head = file.read(12)
    if head[4:8] in BOXES:
        is_complete = _boxes_are_whole(file, size)
    elif head[:4] == b"RIFF" and head[8:12] in {b"AVI ", b"AVIX"}:
        declared = int.from_bytes(head[4:8], "little")
        is_complete = declared == 0 or declared + 8 <= size + 1
    elif head[:4] == b"\x1a\x45\xdf\xa3":
        is_complete = _segment_is_whole(file, size)
    elif head[:3] == b"FLV":
        is_complete = _tags_are_whole(file, size)
    else:
        is_complete = True
    if not is_complete:
        raise _truncated(path)
    file.seek(0)


def _boxes_are_whole(file: BinaryIO, size: int) -> bool:
    """Return whether the boxes of an MP4 or QuickTime file lie within it, and one of them is the index."""
    position = 0
    indexed = False
    while position + 8 <= size:
        file.seek(position)
        head = file.read(16)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if kind not in BOXES:
            break  # junk that some recorders append
        indexed = indexed or kind == b"moov"
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length == 0:
            length = size - position
        if length < 8 or position + length > size:
            return False
        position += length
    return indexed


def _segment_is_whole(file: BinaryIO, size: int) -> bool:
    """Return whether the segment of a Matroska file lies within the file; true if its length is unknown, as in live streams."""
    file.seek(4)
    header = _read_length(file)
    if header is None:
        return True
    begins = file.tell() + header
    if begins > size:
        return False
    file.seek(begins)
    if file.read(4) != b"\x18\x53\x80\x67":
        return file.tell() < size
    length = _read_length(file)
    return length is None or file.tell() + length <= size


def _tags_are_whole(file: BinaryIO, size: int) -> bool:
    """Return whether an FLV file has reached the size or the duration that it states; true if it does not state both.

    One alone may be wrong in a whole file: what was saved from a stream keeps the size that its server stated, and some
    recorders state absurd durations.
    """
    file.seek(5)
    file.seek(int.from_bytes(file.read(4), "big") + 4)  # behind the header and the size of the tag before the first
    metadata = file.read(int.from_bytes(file.read(TAG)[1:4], "big"))
    stated = []
    for name in (b"filesize", b"duration"):
        value = metadata.partition(b"\0\x08" + name + b"\0")[2][:8]
        stated.append(struct.unpack(">d", value)[0] if len(value) == 8 else 0.0)
    file.seek(max(size - 4, 0))
    length = int.from_bytes(file.read(4), "big")  # of the last tag
    file.seek(max(size - 4 - length, 0))
    tag = file.read(TAG)
    is_tag = length == TAG + int.from_bytes(tag[1:4], "big")
    reached = int.from_bytes(tag[7:8] + tag[4:7], "big") / 1000 if is_tag else 0.0
    return not (size < stated[0] and reached < stated[1] - LONGEST_FRAME)


def _read_length(file: BinaryIO) -> int | None:
    """Read a variable-length number of a Matroska file. Return None if it is invalid, or all its bits are set: unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    extra = 8 - first[0].bit_length()
    bits = 7 * (extra + 1)
    value = int.from_bytes(first + file.read(extra), "big") & ((1 << bits) - 1)
    return None if value == (1 << bits) - 1 else value


def _truncated(path: Path) -> Failed:
    return Failed("truncated", f"{quoted(path)} ends before its footage does; copy it again")
