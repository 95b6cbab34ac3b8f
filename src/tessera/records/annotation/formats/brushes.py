"""Brushes of Label Studio: masks in run lengths, as label-studio-sdk 2.0 writes them. They are read as untrusted input."""

from typing import Any

import numpy as np

WIDTHS = (3, 4, 8, 16)  # bits of the lengths in a brush


def encode_brush(mask: np.ndarray) -> list[int]:
    """Return the run lengths of Label Studio of `mask`, uint8 (H, W), as bytes; pixels other than 0 are set.

    The format is a stream of bits, the highest first: in 32 bits, the number of values, 4 per pixel; in 5 bits, the bits of a
    value less 1; in 4 bits each, `WIDTHS` less 1; then tokens. A token is one bit, 1 for a run and 0 for literal values; two
    bits, the index of the width of its length; its length less 1; and one value for a run, or as many values as its length.
    The values are the bytes of an RGBA image row by row, whose alpha is the mask. All runs are written with 16 bits.
    """
    flat = np.ascontiguousarray(mask != 0).view(np.uint8).ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths = 4 * np.diff(edges, prepend=0, append=len(flat))
    values = flat[np.concatenate([[0], edges])] * np.int64(255)
    # A run that is too long for 16 bits becomes several.
    pieces = -(-lengths // 2**16)
    values, rest = np.repeat(values, pieces), np.repeat(lengths, pieces)
    rest -= 2**16 * (np.arange(len(rest)) - np.repeat(np.cumsum(pieces) - pieces, pieces))
    tokens = 0b111 << 24 | (np.minimum(rest, 2**16) - 1) << 8 | values
    header = _bits(np.array([4 * len(flat)]), 32), _bits(np.array([7]), 5), _bits(np.array(WIDTHS) - 1, 4)
    packed: list[int] = np.packbits(np.concatenate([*header, _bits(tokens, 27)])).tolist()
    return packed


def decode_brush(brush: Any, height: int, width: int) -> np.ndarray:
    """Return the mask of `brush`, bytes as in `encode_brush`: uint8 (height, width), 0 or 255. Any alpha above 0 is set.

    Raises `ValueError` if it is no such list, or if it does not fill the image exactly.
    """
    if not isinstance(brush, list) or not all(type(byte) is int and 0 <= byte <= 255 for byte in brush):
        raise ValueError("the run lengths are not a list of bytes")
    stream = bytes(brush) + bytes(8)
    bits = 8 * len(brush)

    def read(bit: int, count: int) -> int:
        first, last = bit >> 3, (bit + count + 7) >> 3
        return int.from_bytes(stream[first:last], "big") >> (8 * last - bit - count) & ((1 << count) - 1)

    if bits < 53 or read(32, 5) != 7:
        raise ValueError("the run lengths have no header, or values that are not bytes")
    total = 4 * height * width
    if read(0, 32) != total:
        raise ValueError(f"the brush has {read(0, 32) // 4} pixels, the image {height * width}")
    widths = [read(bit, 4) + 1 for bit in range(37, 53, 4)]
    values = np.zeros(total, np.uint8)
    bit, done = 53, 0
    while done < total and bit + 3 <= bits:
        head = read(bit, 3)
        size = widths[head & 3]
        length = read(bit + 3, size) + 1
        bit += 3 + size
        count = 1 if head >> 2 else length
        if bit + 8 * count > bits or done + length > total:
            raise ValueError("the run lengths exceed the image, or end early")
        if head >> 2:
            values[done : done + length] = read(bit, 8)
        else:
            first, last = bit >> 3, (bit + 8 * count + 7) >> 3
            literal = np.unpackbits(np.frombuffer(stream[first:last], np.uint8))[bit & 7 :][: 8 * count]
            values[done : done + length] = np.packbits(literal)
        bit, done = bit + 8 * count, done + length
    if done < total:
        raise ValueError(f"the run lengths fill {done // 4} of {total // 4} pixels")
    return np.where(values[3::4].reshape(height, width) > 0, np.uint8(255), np.uint8(0))


def _bits(numbers: np.ndarray, count: int) -> np.ndarray:
    """Return the lowest `count` bits of each of `numbers`, the highest first: uint8 (n · count,)."""
    return ((numbers.reshape(-1, 1) >> np.arange(count - 1, -1, -1)) & 1).astype(np.uint8).ravel()
