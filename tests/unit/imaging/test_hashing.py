"""Pictures without structure look alike only if their colours do."""

import io
from itertools import combinations

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from tessera.imaging.hashing import LEAST_BITS, NOISE, hashes_of, perceptual_hash
from tessera.imaging.images import shrink
from tessera.imaging.near_hashes import close_pairs, find_duplicates

COLOURS = [(220, 120, 40), (40, 120, 220), (255, 255, 255), (0, 0, 0), (120, 120, 120), (232, 120, 40), (90, 200, 90)]
SIDE = 96


def flat(colour: tuple[int, ...]) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), colour, np.uint8)


def gradient(colour: tuple[int, ...]) -> np.ndarray:
    return (flat(colour) * np.linspace(0.3, 1, SIDE)[None, :, None]).astype(np.uint8)


def bars(colour: tuple[int, ...]) -> np.ndarray:
    picture = flat(colour)
    picture[: SIDE // 8] = picture[-SIDE // 8 :] = 0
    return picture


def noisy(colour: tuple[int, ...]) -> np.ndarray:
    noise = np.random.default_rng(0).integers(-1, 2, (512, 512, 3))
    return (np.full((512, 512, 3), colour) + noise).clip(0, 255).astype(np.uint8)


def encoded_again(picture: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=90)
    return np.array(Image.open(file))


@pytest.mark.parametrize("make", [flat, gradient, bars, noisy])
def test_pictures_without_structure_of_different_colours_are_no_near_duplicates(make: object) -> None:
    assert callable(make)
    pictures = [make(colour) for colour in COLOURS if make is not gradient or sum(colour)]
    # Without their colours, some of them were near-duplicates.
    plain = [hashes_of(picture)[0] for picture in pictures]
    assert any((one ^ other).bit_count() <= 4 for one, other in combinations(plain, 2))
    hashes = np.array([perceptual_hash(picture) for picture in pictures], np.uint64)
    assert all((one ^ other).bit_count() > 6 for one, other in combinations(hashes.tolist(), 2))
    assert find_duplicates(hashes, 4)[0].tolist() == list(range(len(pictures)))
    assert close_pairs(hashes[:3], hashes[3:], 4)[0].size == 0
    for picture, own in zip(pictures, hashes.tolist(), strict=True):
        assert (perceptual_hash(shrink(picture, 64)) ^ own).bit_count() <= 4
        if make is not noisy:
            assert (perceptual_hash(encoded_again(picture)) ^ own).bit_count() <= 8


def test_forty_colours_are_forty_pictures() -> None:
    random = np.random.default_rng(0)
    shifts = [random.integers(-35, 35, 3) for _ in range(40)]
    bases = [(220, 120, 40)] * 20 + [(40, 120, 220)] * 20
    colours = [tuple(np.clip(base + shift, 0, 255)) for base, shift in zip(bases, shifts, strict=True)]
    hashes = np.array([perceptual_hash(flat(colour)) for colour in colours], np.uint64)
    assert find_duplicates(hashes, 4)[0].tolist() == list(range(40))


@settings(deadline=None, max_examples=50)
@given(arrays(np.uint8, st.tuples(st.integers(8, 40), st.integers(8, 40), st.just(3))))
def test_a_hash_with_structure_is_that_of_imagehash(image: np.ndarray) -> None:
    theirs = int(str(imagehash.phash(Image.fromarray(image))), 16)
    own, used = hashes_of(image)
    assert own == theirs
    small = np.asarray(Image.fromarray(image).convert("L").resize((32, 32), Image.Resampling.LANCZOS))
    assert (used == theirs) == (theirs.bit_count() >= LEAST_BITS and np.ptp(small) > NOISE)


def test_a_grey_picture_has_the_hash_of_its_colour() -> None:
    assert perceptual_hash(flat((90, 90, 90))) == perceptual_hash(flat((90, 90, 90))[..., 0])
