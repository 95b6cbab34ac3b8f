"""What a media file is: found by reading it, never by believing what it declares."""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from tessera.core.errors import Failed
from tessera.core.files import open_file, quoted
from tessera.imaging.containers import CONTAINERS, GUESSED_RATE, IMAGE_FORMATS, MAX_PIXELS, is_shown

Check = Literal["packets", "keyframes", "all"]
Look = Callable[[np.ndarray, str], None]
LOOK_EVERY = 0.5  # seconds between pictures that are looked at
UPRIGHT = {3: 180, 4: 180, 5: 270, 6: 270, 7: 90, 8: 90}  # EXIF orientation: degrees counter-clockwise
BOXES = {b"ftyp", b"moov", b"mdat", b"moof", b"free", b"skip", b"wide", b"uuid", b"meta", b"sidx", b"styp", b"mfra", b"emsg"}


@dataclass(frozen=True)
class Media:
    """What a video or an image is; the fields mean what the columns of `tables.Sources` say."""

    kind: Literal["video", "image"]
    codec: str
    pixel_format: str
    width: int
    height: int
    rotation: int
    frames: int
    container: str | None = None
    average_rate: float | None = None
    nominal_rate: float | None = None
    variable_rate: bool | None = None
    duration: float | None = None
    streams: tuple[str, ...] | None = None


def probe(path: Path, check: Check, look: Look | None = None) -> Media:
    """Return what the file `path` is: an image if Pillow knows it as one, else a video. See `probe_image`, `probe_video`."""
    with open_file(path) as file:
        is_image = _identify(file, path) is not None
    return probe_image(path, look) if is_image else probe_video(path, check, look)


def probe_image(path: Path, look: Look | None = None) -> Media:
    """Return what the image `path` is, having decoded all of it.

    `look` is called with the picture, upright, uint8 (H, W, 3), RGB, and with an empty text.
    Raises `Failed` where it cannot be decoded, would fill the memory or is animated.
    """
    from tessera.imaging.images import read_image

    with open_file(path) as file:
        image = _identify(file, path)
        if image is None:
            raise Failed("image cannot be decoded", f"{quoted(path)} is none of {', '.join(IMAGE_FORMATS)}; convert it")
        try:
            pictures = getattr(image, "n_frames", 1)
            orientation = image.getexif().get(0x0112, 1)
        except Exception as error:  # decoders meet hostile bytes with exceptions of many kinds
            raise Failed("image cannot be decoded", f"{quoted(path)}: {error}; copy it again, or leave it out") from error
    # The second picture of a multi-picture JPEG is a preview or a depth map of the first.
    if pictures > 1 and image.format != "MPO":
        raise Failed("several pictures in one image", f"{quoted(path)}: convert it to a video or a folder of images")
    try:
        picture = read_image(path)
    except Failed as fault:
        raise Failed(fault.reason, f"{quoted(path)}: {fault.detail}; copy it again, or leave it out") from None
    if look is not None:
        look(picture, "")
    height, width = picture.shape[:2]
    return Media("image", str(image.format).lower(), image.mode, width, height, UPRIGHT.get(orientation, 0), 1)


def probe_video(path: Path, check: Check, look: Look | None = None) -> Media:
    """Return what the first video stream of `path` is, from all of its packets.

    `check` says what is decoded to find damage. `packets`: the first picture; all packets are read in any case, which finds
    files cut short. `keyframes`: every keyframe, while the decoder reads the structure of all other packets. `all`: everything.
    `look` is called with pictures, upright, uint8 (H, W, 3), RGB, and their time as text: the first one decoded and every one
    half a second or more after the last; keyframes are decoded for it even where `check` is `packets`.
    Raises `Failed` where there is no such stream, or it is cut short or damaged.
    """
    import av

    with open_file(path) as file:
        _require_whole(file, path)
        try:
            # As an open file and without any protocol: nothing else is read, whatever its bytes or its name ask for.
            container = av.open(file, options={"format_whitelist": CONTAINERS, "protocol_whitelist": "none"})
        except MemoryError:
            raise
        except av.error.FFmpegError:
            raise Failed(
                "not a media file",
                f"{quoted(path)} is no video or image that is read here; list MP4, Matroska, AVI, MPEG-TS or the like,"
                " and the videos themselves, not a playlist of them",
            ) from None
        with container:
            return _probe_container(container, path, check, look)


def _probe_container(container: Any, path: Path, check: Check, look: Look | None) -> Media:
    from av.stream import Disposition

    from tessera.imaging.video import VideoFrame

    pictures = {stream for stream in container.streams.video if stream.disposition & Disposition.attached_pic}
    video = next((stream for stream in container.streams.video if stream not in pictures), None)
    streams = tuple(
        " ".join(filter(None, ["picture" if stream in pictures else stream.type, getattr(stream.codec_context, "name", "")]))
        for stream in container.streams
    )
    if video is None:
        held = "audio only" if container.streams.audio else ", ".join(streams) or "no streams"
        raise Failed("no video stream", f"{quoted(path)} holds {held}; leave it out of the manifest")
    if video.codec_context is None:
        raise Failed("unknown codec", f"{quoted(path)}: FFmpeg has no decoder for its video; convert it to H.264")
    first = None
    looked = -math.inf
    times: list[tuple[int | None, int | None, int]] = []
    for packet, frames in _decode(video, path, check, look is not None):
        if is_shown(packet, video.codec_context.name):
            times.append((packet.pts, packet.dts, packet.duration or 0))
        for frame in frames:
            first = first or frame
            if look is not None and (frame.time is None or abs(frame.time - looked) >= LOOK_EVERY):
                looked = frame.time or 0.0
                look(VideoFrame(0, None, looked, frame).image(), f"at {looked:.3f} s")
    if first is None:
        raise Failed("no frames", f"{quoted(path)}: its video stream holds no picture that decodes; copy it again")
    rotation = _rotation(first)
    width, height = (first.width, first.height) if rotation % 180 == 0 else (first.height, first.width)
    nominal = float(video.base_rate) if video.base_rate else None
    duration, variable = _timing(times, video.time_base, nominal)
    return Media(
        kind="video",
        container=container.format.name,
        codec=video.codec_context.name,
        pixel_format=first.format.name,
        width=width,
        height=height,
        rotation=rotation,
        average_rate=len(times) / duration if duration else None,
        nominal_rate=nominal,
        variable_rate=variable,
        frames=len(times),
        duration=duration,
        streams=streams,
    )


def _decode(video: Any, path: Path, check: Check, must_decode: bool) -> Iterator[tuple[Any, list[Any]]]:
    """Yield each packet of `video` with the frames that the decoder gives once it has it."""
    import av

    context = video.codec_context
    context.thread_count = 1
    context.options = {"err_detect": "explode", "max_pixels": str(MAX_PIXELS)}
    if check != "all":
        # The decoder still gets every packet: it checks how one is built before it leaves it undecoded, at hardly any cost.
        context.skip_frame = "NONKEY"
    started = cut = done = False
    place = 0.0
    packets = video.container.demux(video)
    while True:
        try:
            packet = next(packets)
            if packet.size and cut:
                raise Failed(
                    "corrupted", f"{quoted(path)}: a packet near {place:.1f} s is damaged; copy it again, or encode it anew"
                )
            # What precedes the first keyframe, in a recording that was cut, cannot be decoded.
            started = started or packet.is_keyframe
            if packet.dts is not None:
                place = float((packet.dts - (video.start_time or 0)) * packet.time_base)
            cut = cut or packet.is_corrupt
            frames = packet.decode() if started and not cut and not done else []
        except StopIteration:
            break
        except MemoryError:
            raise
        except av.error.FFmpegError as error:
            raise Failed(
                "corrupted",
                f"{quoted(path)} does not decode near {place:.1f} s ({error.strerror}); copy it again, or encode it anew",
            ) from None
        done = done or (check == "packets" and not must_decode and bool(frames))
        yield packet, frames
    if cut:
        raise _truncated(path)


def _timing(
    times: list[tuple[int | None, int | None, int]], base: Fraction, nominal: float | None
) -> tuple[float, bool | None]:
    """Return the duration in seconds, and whether the rate is variable, from (pts, dts, duration) of each packet."""
    shown = sorted((pts, duration) for pts, _, duration in times if pts is not None)
    if len(shown) < len(times):
        shown = sorted((dts, duration) for _, dts, duration in times if dts is not None)
    if not shown or len(shown) < len(times):
        return len(times) / (nominal or GUESSED_RATE), None  # no time stamps: frames are known by counting alone
    gaps = [later - sooner for (sooner, _), (later, _) in pairwise(shown)]
    last = shown[-1][1] or (sorted(gaps)[len(gaps) // 2] if gaps else round(1 / (nominal or GUESSED_RATE) / base))
    spread = max(gaps) - min(gaps) if gaps else 0
    # One tick is rounding, except where a tick is as coarse as a frame.
    variable = spread > 1 or (spread == 1 and min(gaps) < 4)
    return float((shown[-1][0] + last - shown[0][0]) * base), variable


def _rotation(frame: Any) -> int:
    return int(round(frame.rotation / 90) % 4 * 90)


def _require_whole(file: BinaryIO, path: Path) -> None:
    """Raise `Failed` where the file says that it goes on after its end, or ends before its index."""
    size = os.fstat(file.fileno()).st_size
    head = file.read(12)
    if head[4:8] in BOXES:
        whole = _boxes_are_whole(file, size)
    elif head[:4] == b"RIFF" and head[8:12] in {b"AVI ", b"AVIX"}:
        declared = int.from_bytes(head[4:8], "little")
        whole = declared == 0 or declared + 8 <= size + 1
    elif head[:4] == b"\x1a\x45\xdf\xa3":
        whole = _segment_is_whole(file, size)
    else:
        whole = True
    if not whole:
        raise _truncated(path)
    file.seek(0)


def _boxes_are_whole(file: BinaryIO, size: int) -> bool:
    """Whether the boxes of an MP4 or QuickTime file end where it does, and one of them is the index."""
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
    """Whether the segment of a Matroska file ends where the file does; true where it does not tell, as in a live recording."""
    file.seek(4)
    header = _read_length(file)
    if header is None:
        return True
    file.seek(header, os.SEEK_CUR)
    if file.read(4) != b"\x18\x53\x80\x67":
        return file.tell() < size
    length = _read_length(file)
    return length is None or file.tell() + length <= size


def _read_length(file: BinaryIO) -> int | None:
    """Return the variable-length number at the place in the Matroska file; none where all its bits are set: unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    extra = 8 - first[0].bit_length()
    bits = 7 * (extra + 1)
    value = int.from_bytes(first + file.read(extra), "big") & ((1 << bits) - 1)
    return None if value == (1 << bits) - 1 else value


def _truncated(path: Path) -> Failed:
    return Failed("truncated", f"{quoted(path)} ends before its footage does; copy it again")


def _identify(file: BinaryIO, path: Path) -> Any:
    """Return the undecoded Pillow image in `file`, or none where there is no image. Raises `Failed` where it is an attack."""
    import warnings

    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(file, formats=IMAGE_FORMATS)
    except UnidentifiedImageError:
        return None
    except Image.DecompressionBombError:
        raise Failed("image too large", f"{quoted(path)} has more than {MAX_PIXELS} pixels; scale it down") from None
