"""H.264: what its packets say that FFmpeg does not pass on."""

from collections.abc import Iterator

SLICES, MESSAGE = {1, 2, 5}, 6  # types of NAL units, ITU-T H.264, table 7-1
MARK = b"\0\0\1"
HEAD = 2**16  # bytes of a packet that are searched; what tells of a picture comes before it, and is small
RECOVERY = 6  # type of the message that says where pictures are whole again, D.1.8


def is_refreshed(packet: memoryview, header: bytes) -> bool:
    """Whether the pictures of a stream are whole only some frames after this one, where FFmpeg sees a keyframe.

    So it is where a stream is refreshed bit by bit. `packet` holds one picture, `header` is what the container tells of the
    stream: the units in a packet have their lengths before them where it begins with 1, else they begin with 0, 0, 1.
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
            return not message[0] & 0x80  # the first bit of a count, which is set where that is 0
    return False


def _measured(packet: memoryview, size: int) -> Iterator[memoryview]:
    """Yield the units of a packet, each of which has its length in `size` bytes before it."""
    while len(packet) > size:
        end = size + int.from_bytes(packet[:size], "big")
        yield packet[size:end]
        packet = packet[end:]


def _message(unit: memoryview, wanted: int) -> memoryview | None:
    """Return the content of the message of the type `wanted` in a unit of them, 7.3.2.3.1; None where there is none."""
    while len(unit) > 2:
        kind, unit = _number(unit)
        size, unit = _number(unit)
        if kind == wanted and size:
            return unit[:size]
        unit = unit[size:]
    return None


def _number(data: memoryview) -> tuple[int, memoryview]:
    """Return a number of any size, whose bytes but the last are 255, and what comes after it."""
    full = 0
    while full < len(data) - 1 and data[full] == 255:
        full += 1
    return 255 * full + (data[full] if data else 0), data[full + 1 :]
