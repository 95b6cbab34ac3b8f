"""Draws depend only on their arguments."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.core.seeds import fraction, generator

# Rooms are named by us, without zero bytes.
ROOMS = st.text(st.characters(exclude_characters="\0"), max_size=5)
DRAWS = st.tuples(st.integers(0, 2**40), ROOMS, st.text(max_size=5))


@given(DRAWS)
def test_equal_arguments_give_equal_draws(draw: tuple[int, str, str]) -> None:
    assert generator(*draw).bytes(16) == generator(*draw).bytes(16)


@given(DRAWS, DRAWS)
def test_different_arguments_give_different_draws(one: tuple[int, str, str], other: tuple[int, str, str]) -> None:
    assert (generator(*one).bytes(16) == generator(*other).bytes(16)) == (one == other)


def test_draws_never_change() -> None:
    # Another stream would remake every dataset of everyone: a change must be on purpose.
    assert generator(0, "room", "item").integers(0, 1000, 4).tolist() == [957, 704, 838, 452]
    assert fraction("room", "item") == pytest.approx(0.9281957278220854)


def test_names_that_are_not_valid_unicode_have_draws_too() -> None:
    assert 0 <= fraction("room", "\udcff") < 1
    generator(0, "room", "\udcff")


def test_fractions_are_spread_evenly() -> None:
    counts, _ = np.histogram([fraction("room", str(i)) for i in range(20_000)], bins=20, range=(0, 1))
    assert counts.sum() == 20_000
    assert abs(counts - 1000).max() < 150


@pytest.mark.parametrize(("digest", "expected"), [(b"\xff", 1 - 2**-53), (b"\x00", 0.0)])
def test_a_fraction_is_below_one_whatever_the_hash(monkeypatch: pytest.MonkeyPatch, digest: bytes, expected: float) -> None:
    class Extreme:
        def digest(self) -> bytes:
            return digest * 32

    monkeypatch.setattr(hashlib, "sha256", lambda _: Extreme())
    assert fraction("room", "item") == expected
