"""What packets say about their frames is read from any bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.imaging.bitstream import is_hidden, is_incomplete, is_refreshed

MEASURED = b"\1\x64\0\x1f\xff"  # the beginning of an avcC: lengths of four bytes
SLICE, INSTANT = b"\x41 a slice", b"\x65 a slice"
LONG = b"\x06\x05\xff\x2d" + 300 * b"x" + b"\x80"  # a message of another type, of 255 + 45 bytes


def recovery(count: int) -> bytes:
    """Return a unit with the message that pictures are whole `count` frames later, as an Exp-Golomb code, 9.1."""
    code = f"{count + 1:b}"
    bits = "0" * (len(code) - 1) + code + "001"
    content = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    return bytes([6, 6, len(content)]) + content + b"\x80"


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("measured", [False, True])
@pytest.mark.parametrize(
    ("units", "refreshed"),
    [
        ([recovery(11), SLICE], True),
        ([recovery(1), SLICE], True),
        ([b"\x09\xf0", recovery(300), SLICE], True),
        ([recovery(0), SLICE], False),
        ([INSTANT, recovery(5)], False),
        ([SLICE], False),
        ([LONG, recovery(5), SLICE], True),
        ([LONG[:-1] + recovery(5)[1:], SLICE], True),
        ([LONG, SLICE], False),
        ([b"", SLICE], False),
    ],
)
def test_a_stream_is_refreshed_where_a_message_counts_frames(
    units: list[bytes], refreshed: bool, measured: bool, long: bool
) -> None:
    mark = b"\0\0\0\1" if long else b"\0\0\1"
    packet = b"".join((len(unit).to_bytes(4, "big") if measured else mark) + unit for unit in units)
    assert is_refreshed(memoryview(packet), MEASURED if measured else b"") is refreshed


@given(st.lists(st.sampled_from([0, 1, 5, 6, 255]) | st.integers(0, 255), max_size=40), st.sampled_from([MEASURED, b"\1", b""]))
def test_any_bytes_are_a_packet(content: list[int], header: bytes) -> None:
    assert is_refreshed(memoryview(bytes(content)), header) in (False, True)


@pytest.mark.parametrize("codec", ["vp8", "vp9", "libdav1d", "dirac", "theora", "h263", "mpeg4", "h264", "ffv1"])
@given(st.binary(min_size=1, max_size=40) | st.binary(max_size=30).map(lambda rest: b"BBCD" + rest))
def test_any_bytes_are_a_packet_of_any_codec(codec: str, content: bytes) -> None:
    assert is_hidden(memoryview(content), codec) in (False, True)
    assert is_incomplete(memoryview(content), codec, b"") in (False, True)
