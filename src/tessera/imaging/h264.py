"""Read information from packets of H.264 that FFmpeg does not expose."""

from collections.abc import Iterator

SLICES, MESSAGE = {1, 2, 5}, 6  # types of NAL units, ITU-T H.264, table 7-1
MARK = b"\0\0\1"
HEAD = 2**16  # bytes of a packet that are searched; messages about a picture are small and come before it
RECOVERY = 6  # type of the recovery point message, D.1.8: how many frames later pictures are complete


def is_refreshed(packet: memoryview, header: bytes) -> bool:
    """Return whether decoding from `packet`, which FFmpeg takes for a keyframe, gives complete pictures only frames later.

    This is the case in streams that are refreshed gradually, without keyframes. `packet` holds one picture. `header` is the
    extra data of the stream in the container: if it begins with 1, each unit in a packet has its length before it; otherwise
    each unit begins with the bytes 0, 0, 1.
    """
    packet = packet[:HEAD]
    if len(header) > 4 and header[0] == 1:
        units = _measured(packet, (header[4] & 3) + 1)
    else:
        units = (memoryview(unit) for unit in bytes(packet).split(MARK)[1:])
    for unit in units:
        kind = unit[0] & 31 if unit else 0
        if kind in SLICES:
            return False
        if kind == MESSAGE and (message := _message(unit[1:], RECOVERY)):
            return not message[0] & 0x80  # the first bit of the number of frames, which is set if the number is 0
    return False


def _measured(packet: memoryview, size: int) -> Iterator[memoryview]:
    """Yield the units of a packet in which each unit has its length, `size` bytes, before it."""
    while len(packet) > size:
        end = size + int.from_bytes(packet[:size], "big")
        yield packet[size:end]
        packet = packet[end:]


def _message(unit: memoryview, wanted: int) -> memoryview | None:
    """Return the content of the message of type `wanted` in a unit of messages, 7.3.2.3.1, or None."""
    while len(unit) > 2:
        kind, unit = _number(unit)
        size, unit = _number(unit)
        if kind == wanted and size:
            return unit[:size]
        unit = unit[size:]
    return None


def _number(data: memoryview) -> tuple[int, memoryview]:
    """Return the number at the start of `data`, all of whose bytes except the last are 255, and the rest of `data`."""
    full = 0
    while full < len(data) - 1 and data[full] == 255:
        full += 1
    return 255 * full + (data[full] if data else 0), data[full + 1 :]
