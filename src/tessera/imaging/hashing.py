"""Perceptual hashes: the hashes of images that look alike differ in few bits."""

import numpy as np


def perceptual_hash(image: np.ndarray) -> int:
    """Return the perceptual hash of `image`, 64 bits; the first bit of `imagehash.phash` is the highest.

    `image`: uint8 (H, W, 3), RGB, or uint8 (H, W), grey. As 16 hexadecimal digits, the hash equals
    `str(imagehash.phash(…))`.
    """
    import imagehash
    from PIL import Image

    return int(str(imagehash.phash(Image.fromarray(image))), 16)
