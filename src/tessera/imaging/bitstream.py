"""Read from the packets of a video stream what FFmpeg does not expose, or containers often state wrongly.

Codecs are named as FFmpeg names their decoders.
"""

from collections.abc import Callable, Iterator

# Types of NAL units of pictures, and of a message: ITU-T H.264, table 7-1.
SLICES, MESSAGE = {1, 2, 5}, 6
# Those of delimiters, of the end of a sequence and of a stream, and of filler data: there, and ITU-T H.265, table 7-1.
ENDS = {"h264": {9, 10, 11, 12}, "hevc": {35, 36, 37, 38}}
SHORT = 32  # bytes
MARK = b"\0\0\1"
HEAD = 2**16  # bytes of a packet that are searched; messages about a picture are small and come before it
RECOVERY = 6  # type of the recovery point message, D.1.8: how many frames later pictures are complete
# Keyframe marks of these are not believed. The streams do not say which pictures are complete, many files mark all of them, and
# VC-2, which FFmpeg calls Dirac, cannot be decoded without the header before its first picture.
UNMARKED = {"h261", "rpza", "dirac"}
PLACEHOLDER = 19  # bytes; at most so long are the packets that stand for frames in the packet before, as FFmpeg assumes
# Where recordings of these were joined, headers lie among the frames. Decoders need them, and read them with one thread only.
WITH_HEADERS = {"theora"}
SEQUENCE, FRAME_HEADER, FRAME = 1, 3, 6  # types of AV1's units, section 6.2.2


def is_hidden(packet: memoryview, codec: str, header: bytes = b"") -> bool:
    """Return whether `packet`, which is not empty, holds no frame that is shown: hidden reference frames or headers only.

    A packet that is damaged holds a frame, which cannot be decoded. `header` is the extra data of the stream in the container.
    """
    if codec in ENDS:
        # Each unit must be known, because a packet may be damaged.
        kinds = [_unit_type(unit, codec) for unit in _units(packet, codec, header)] if len(packet) <= SHORT else []
        return bool(kinds) and ENDS[codec].issuperset(kinds)
    return codec in HIDES and HIDES[codec](packet)


def is_incomplete(packet: memoryview, codec: str, header: bytes) -> bool:
    """Return whether decoding from `packet`, which the container marks as a keyframe, gives incomplete pictures.

    `header` is the extra data of the stream in the container.
    """
    if codec == "h264":
        return is_refreshed(packet, header)
    return codec in UNMARKED or (codec in PREDICTED and PREDICTED[codec](packet))


def _is_hidden_vp8(packet: memoryview) -> bool:
    return not packet[0] & 0x10


def _is_hidden_vp9(packet: memoryview) -> bool:
    """Return whether `packet` holds one hidden frame. With several, a superframe, the last one is visible."""
    if packet[-1] >> 5 == 0b110:
        return False
    # Marker, profile, a reserved bit of profile 3, then `show_existing_frame`, `frame_type` and `show_frame`: section 6.2 of
    # the VP9 Bitstream & Decoding Process Specification.
    flags = packet[0] << (1 if packet[0] >> 4 & 3 == 3 else 0)
    return not flags & 0b1000 and not flags & 0b10


def _is_hidden_av1(packet: memoryview) -> bool:
    """Return whether `packet` holds frames of AV1, none of which is shown: section 5.9.2 of its specification."""
    has_frame = False
    for kind, unit in _av1_units(packet):
        # Streams of still pictures, whose headers may be shorter, show each frame.
        is_still = kind == SEQUENCE and unit[0] & 0x10
        # `show_existing_frame`, `frame_type` and `show_frame`.
        if is_still or (kind in (FRAME_HEADER, FRAME) and unit[0] & 0b1001_0000):
            return False
        has_frame = has_frame or kind in (FRAME_HEADER, FRAME)
    return has_frame


def _av1_units(packet: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the type and the content of the units of an AV1 packet that have one: sections 5.3.1 and 5.3.2."""
    while len(packet) > 1:
        kind, has_extension, has_size = packet[0] >> 3 & 15, packet[0] >> 2 & 1, packet[0] >> 1 & 1
        packet = packet[1 + has_extension :]
        size = len(packet)
        if has_size:
            size = shift = 0
            more = True
            while more and len(packet):
                size |= (packet[0] & 0x7F) << shift
                more, shift, packet = bool(packet[0] & 0x80), shift + 7, packet[1:]
        if size and len(packet):
            yield kind, packet[:size]
        packet = packet[size:]


def _is_hidden_dirac(packet: memoryview) -> bool:
    """Return whether `packet` holds no picture: parse info headers, SMPTE ST 2042-1, section 10.5; 8 marks pictures."""
    while bytes(packet[:4]) == b"BBCD" and len(packet) >= 13:
        size = int.from_bytes(packet[5:9], "big")
        if packet[4] & 8 or not size:
            return not packet[4] & 8
        packet = packet[size:]
    return not len(packet)


def _is_hidden_gif(packet: memoryview) -> bool:
    """Return whether `packet` holds no picture, but what follows the last one: blocks of GIF89a, sections 18 to 26."""
    if bytes(packet[:3]) == b"GIF" and len(packet) > 12:
        colours = 3 << (packet[10] & 7) + 1 if packet[10] & 0x80 else 0
        packet = packet[13 + colours :]
    while len(packet) > 2 and packet[0] == 0x21:
        packet = packet[2:]
        while len(packet) and packet[0]:
            packet = packet[packet[0] + 1 :]
        packet = packet[1:]
    return not len(packet) or packet[0] == 0x3B


def _is_header_of_theora(packet: memoryview) -> bool:
    """Return whether `packet` is a header, which stands again where streams were joined: section 6.1 of the specification."""
    return bool(packet[0] & 0x80) and bytes(packet[1:7]) == b"theora"


def _is_predicted_h263(packet: memoryview) -> bool:
    """Return whether the picture in `packet` refers to others: ITU-T H.263, sections 5.1.3 and 5.1.4."""
    bits = f"{int.from_bytes(packet[:8], 'big'):064b}"
    if not bits.startswith("0" * 16 + "100000"):
        return False
    if bits[35:38] != "111":
        return bits[38] == "1"
    # The type comes after the optional part of the extended header, if there is one.
    start = 41 if bits[38:41] == "000" else 41 + 18
    return bits[start : start + 3] != "000"


def _is_placeholder(packet: memoryview) -> bool:
    """Return whether `packet` stands for a frame that lies in the packet before, as DivX and Xvid pack them in AVI."""
    return len(packet) <= PLACEHOLDER


HIDES: dict[str, Callable[[memoryview], bool]] = {
    "vp8": _is_hidden_vp8,
    "vp9": _is_hidden_vp9,
    "libdav1d": _is_hidden_av1,
    "av1": _is_hidden_av1,
    "dirac": _is_hidden_dirac,
    "gif": _is_hidden_gif,
    "theora": _is_header_of_theora,
}
PREDICTED: dict[str, Callable[[memoryview], bool]] = {"h263": _is_predicted_h263, "mpeg4": _is_placeholder}


def is_refreshed(packet: memoryview, header: bytes) -> bool:
    """Return whether decoding from `packet`, which FFmpeg takes for a keyframe, gives complete pictures only frames later.

    This is the case in streams that are refreshed gradually, without keyframes. `packet` holds one picture. `header` is the
    extra data of the stream in the container: if it begins with 1, each unit in a packet has its length before it; otherwise
    each unit begins with the bytes 0, 0, 1.
    """
    for unit in _units(packet[:HEAD], "h264", header):
        kind = _unit_type(unit, "h264")
        if kind in SLICES:
            return False
        if kind == MESSAGE and (message := _message(unit[1:], RECOVERY)):
            return not message[0] & 0x80  # the first bit of the number of frames, which is set if the number is 0
    return False


def _units(packet: memoryview, codec: str, header: bytes) -> Iterator[memoryview]:
    """Yield the NAL units of a packet, which may be empty."""
    size_position = {"h264": 4, "hevc": 21}[codec]  # of the size of the lengths in `header`
    if len(header) > size_position and header[0] == 1:
        yield from _measured(packet, (header[size_position] & 3) + 1)
    else:
        yield from (memoryview(unit) for unit in bytes(packet).split(MARK)[1:])


def _unit_type(unit: memoryview, codec: str) -> int | None:
    if not len(unit):
        return None
    return unit[0] & 31 if codec == "h264" else unit[0] >> 1 & 63


def _measured(packet: memoryview, size: int) -> Iterator[memoryview]:
    """Yield the units of a packet in which each unit has its length, `size` bytes, before it."""
    while len(packet) > size:
        end = size + int.from_bytes(packet[:size], "big")
        yield packet[size:end]
        packet = packet[end:]


def _message(unit: memoryview, message_type: int) -> memoryview | None:
    """Return the content of the message of type `message_type` in a unit of messages, 7.3.2.3.1, or None."""
    while len(unit) > 2:
        kind, unit = _number(unit)
        size, unit = _number(unit)
        if kind == message_type and size:
            return unit[:size]
        unit = unit[size:]
    return None


def _number(data: memoryview) -> tuple[int, memoryview]:
    """Return the number at the start of `data`, all of whose bytes except the last are 255, and the rest of `data`."""
    full = 0
    while full < len(data) - 1 and data[full] == 255:
        full += 1
    return 255 * full + (data[full] if data else 0), data[full + 1 :]
