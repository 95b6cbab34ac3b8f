"""Random draws that depend on the item, never on the order of the work."""

import hashlib

import numpy as np


def generator(seed: int, stage: str, item: str) -> np.random.Generator:
    """Return the random generator of `item` in `stage` under the global `seed`.

    Equal arguments give equal streams on every machine; any difference gives an unrelated stream.
    """
    key = hashlib.sha256(f"{seed}\0{stage}\0{item}".encode("utf-8", "surrogatepass")).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(key, "big")))


def fraction(stage: str, item: str) -> float:
    """Return a number in [0, 1) that depends only on `stage` and `item`, uniformly distributed over items."""
    key = hashlib.sha256(f"{stage}\0{item}".encode("utf-8", "surrogatepass")).digest()
    # A float has 53 bits. With more, the largest numbers would be rounded up to 1.
    return (int.from_bytes(key[:8], "big") >> 11) / 2**53
