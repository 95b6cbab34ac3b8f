"""Perceptual hashes: the hashes of images that look alike differ in few bits."""

import numpy as np

from tessera.imaging.images import shrink

HASH_SIDE = 256  # pixels; with this scaling first, hashing takes a third of the time, and at most a bit or two differ


def perceptual_hash(image: np.ndarray) -> int:
    """Return the perceptual hash of `image`, 64 bits; the first bit of `imagehash.phash` is the highest.

    `image`: uint8 (H, W, 3), RGB, or uint8 (H, W), grey. As 16 hexadecimal digits, the hash equals
    `str(imagehash.phash(…))`.
    """
    import imagehash
    from PIL import Image

    return int(str(imagehash.phash(Image.fromarray(image))), 16)


def scaled_hash(image: np.ndarray) -> int:
    """Return the perceptual hash of `image`, uint8 (H, W, 3), RGB, scaled down to `HASH_SIDE` pixels."""
    return perceptual_hash(shrink(image, HASH_SIDE))
