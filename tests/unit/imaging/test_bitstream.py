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


GIF = b"GIF89a\4\0\4\0\x80\0\0" + 6 * b"\0"  # with a table of two colours
COMMENT, CONTROL, PICTURE = b"\x21\xfe\3abc\2de\0", b"\x21\xf9\4\0\0\0\0\0", b"\x2c a picture"


@pytest.mark.parametrize(
    ("codec", "packet", "is_picture"),
    [
        ("h264", b"\0\0\1\x0a", False),  # the end of the sequence
        ("h264", b"\0\0\0\1\x09\xf0\0\0\1\x41 a slice", True),
        ("hevc", b"\0\0\1\x4a\1", False),
        ("hevc", b"\0\0\1\x02\1 a slice", True),
        ("gif", GIF + CONTROL + PICTURE, True),
        ("gif", CONTROL + PICTURE, True),
        ("gif", COMMENT + b"\x3b", False),
        ("gif", COMMENT, False),
        ("theora", b"\x81theora", False),
        ("theora", b"\x3f", True),
        ("dirac", b"BBCD\x10" + (13).to_bytes(4, "big") + 4 * b"\0", False),
        ("dirac", b"BBCD\0" + (13).to_bytes(4, "big") + 4 * b"\0" + b"BBCD\xe8" + 8 * b"\0", True),
        ("libdav1d", b"\x12\0\x32\2\x10\0", True),
        ("libdav1d", b"\x12\0\x32\2\0\0", False),
        ("libdav1d", b"\x12\0\x1a\1\x80", True),  # an earlier frame is shown
        # Damaged packets hold a frame.
        ("h264", 16 * b"\xff", True),
        ("libdav1d", 16 * b"\0", True),
        ("libdav1d", 16 * b"\xff", True),
        ("theora", 16 * b"\xff", True),
        ("gif", 16 * b"\xff", True),
        ("dirac", 16 * b"\xff", True),
    ],
)
def test_packets_hold_pictures_that_are_shown_or_none(codec: str, packet: bytes, is_picture: bool) -> None:
    assert is_hidden(memoryview(packet), codec) is not is_picture


@pytest.mark.parametrize("codec", ["vp8", "vp9", "libdav1d", "dirac", "theora", "h263", "mpeg4", "h264", "hevc", "gif", "ffv1"])
@given(st.binary(min_size=1, max_size=40) | st.binary(max_size=30).map(lambda rest: b"BBCD" + rest))
def test_any_bytes_are_a_packet_of_any_codec(codec: str, content: bytes) -> None:
    assert is_hidden(memoryview(content), codec) in (False, True)
    assert is_incomplete(memoryview(content), codec, b"") in (False, True)
