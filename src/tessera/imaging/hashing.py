"""Perceptual hashes: pictures that look the same differ in few bits."""

import numpy as np


def perceptual_hash(image: np.ndarray) -> int:
    """Return the perceptual hash of `image`, 64 bits; the first bit of `imagehash.phash` is the highest.

    `image`: uint8 (H, W, 3), RGB. Written as 16 hexadecimal digits it is what `str(imagehash.phash(…))` gives.
    """
    import imagehash
    from PIL import Image

    return int(str(imagehash.phash(Image.fromarray(image))), 16)
