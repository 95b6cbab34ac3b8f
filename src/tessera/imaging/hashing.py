"""Perceptual hashes: the hashes of images that look alike differ in few bits."""

import numpy as np

from tessera.core.seeds import fraction
from tessera.imaging.images import shrink

HASH_SIDE = 256  # pixels; with this scaling first, hashing takes a third of the time, and at most a bit or two differ
BITS = 64
# About half of the bits of a hash are set. Where most frequencies are missing, as in pictures of one colour, in gradients and
# between black bars, few are: such a hash is that of many pictures, whatever their colours.
LEAST_BITS = 12
SMALL_SIDE = 32  # pixels of the image whose frequencies imagehash takes
NOISE = 2  # levels by which such an image of one colour varies at most
STEP = 32  # levels; colours that differ by this much or more differ in half of the bits of `_colour_bits`


def perceptual_hash(image: np.ndarray) -> int:
    """Return the perceptual hash of `image`, 64 bits; the first bit of `imagehash.phash` is the highest.

    `image`: uint8 (H, W, 3), RGB, or uint8 (H, W), grey. As 16 hexadecimal digits, the hash equals
    `str(imagehash.phash(…))`, unless the image has too little structure, see `hashes_of`.
    """
    return hashes_of(image)[1]


def hashes_of(image: np.ndarray) -> tuple[int, int]:
    """Return `imagehash.phash` of `image`, and its `perceptual_hash`.

    They differ for an image of one colour, apart from noise, and for one whose hash has too little structure, see
    `has_structure`. Its perceptual hash contains its mean colour, so that such images look alike only if their colours do.
    """
    import imagehash
    from PIL import Image

    # As in imagehash, which scales only what has another size.
    small = Image.fromarray(image).convert("L").resize((SMALL_SIDE, SMALL_SIDE), Image.Resampling.LANCZOS)
    plain = int(str(imagehash.phash(small)), 16)
    is_flat = int(np.ptp(np.asarray(small))) <= NOISE
    if has_structure(plain) and not is_flat:
        return plain, plain
    return plain, (0 if is_flat else plain) ^ _colour_bits(image.reshape(-1, image.shape[2] if image.ndim == 3 else 1))


def has_structure(phash: int) -> bool:
    """Return whether a hash of `imagehash.phash` tells pictures apart: those of one colour, for example, all have the same."""
    return phash.bit_count() >= LEAST_BITS


def _colour_bits(pixels: np.ndarray) -> int:
    """Return 64 bits that say what the mean colour of `pixels`, uint8 (N, channels), is.

    Of colours whose channels differ by d levels together, about d bits differ, and half of them at most: each bit is drawn
    from the cell of the colour in a grid of its own.
    """
    colour = np.broadcast_to(pixels.mean(axis=0), 3)
    bits = 0
    for number in range(BITS):
        shifts = np.array([number, number * 37 % BITS, number * 51 % BITS]) * (STEP / BITS)
        cell = ((colour + shifts) // STEP).astype(int).tolist()
        bits |= (fraction("colour", f"{number} {cell}") < 0.5) << number
    return bits


def scaled_hash(image: np.ndarray) -> int:
    """Return the perceptual hash of `image`, uint8 (H, W, 3), RGB, scaled down to `HASH_SIDE` pixels."""
    return perceptual_hash(shrink(image, HASH_SIDE))
