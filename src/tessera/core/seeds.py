"""Random draws that depend on what is drawn for, never on the order of the work."""

import hashlib

import numpy as np


def generator(seed: int, room: str, item: str) -> np.random.Generator:
    """Return the generator for `item` in `room` under the global `seed`.

    Equal arguments give equal streams on every machine; any difference gives an unrelated stream.
    """
    key = hashlib.sha256(f"{seed}\0{room}\0{item}".encode("utf-8", "surrogatepass")).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(key, "big")))


def fraction(room: str, item: str) -> float:
    """Return a number in [0, 1) that depends on `room` and `item` alone, evenly spread over items."""
    key = hashlib.sha256(f"{room}\0{item}".encode("utf-8", "surrogatepass")).digest()
    # 53 bits are what a float holds: with more, the largest would be rounded up to 1.
    return (int.from_bytes(key[:8], "big") >> 11) / 2**53
