"""An interval equals that of an obvious bootstrap over sources, and needs several of them."""

from math import comb, exp, lgamma, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.core.seeds import generator
from tessera.learning.intervals import LEAST, RESAMPLES, clopper_pearson, draws, interval, poisson_interval

TAIL = 0.025


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_each_draw_has_as_many_sources_as_there_are(sources: int, seed: int) -> None:
    found = draws(sources, seed, "val")
    assert found.shape == (RESAMPLES, sources)
    assert (found.sum(axis=1) == sources).all()
    assert np.array_equal(found, draws(sources, seed, "val"))


def test_an_interval_equals_that_of_an_obvious_bootstrap() -> None:
    random = np.random.default_rng(0)
    samples = [random.normal(10, 2, random.integers(1, 9)) for _ in range(12)]
    sums, counts = (np.array([measure(each) for each in samples]) for measure in (np.sum, len))
    times = draws(12, 3, "val")
    found = interval((times @ sums) / (times @ counts), 12)
    resampled = generator(3, "bootstrap", "val").integers(0, 12, (RESAMPLES, 12))
    means = [np.mean(np.concatenate([samples[place] for place in chosen])) for chosen in resampled]
    assert found == pytest.approx(np.percentile(means, [2.5, 97.5]))


def test_few_sources_and_values_that_cannot_be_computed_give_no_interval() -> None:
    values = np.arange(RESAMPLES, dtype=float)
    assert interval(values, LEAST - 1) is None
    assert interval(np.full(RESAMPLES, np.nan), LEAST) is None
    values[:10] = np.nan
    assert interval(values, LEAST) == pytest.approx(np.percentile(np.arange(10, RESAMPLES), [2.5, 97.5]))


@given(st.integers(1, 60), st.data())
def test_beyond_the_interval_of_a_fraction_what_was_seen_is_rare(count: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, count))

    def chance(fraction: float, seen: range) -> float:
        return sum(comb(count, k) * fraction**k * (1 - fraction) ** (count - k) for k in seen)

    low, high = clopper_pearson(hits, count)
    assert chance(low, range(hits, count + 1)) == pytest.approx(TAIL) if hits else low == 0
    assert chance(high, range(hits + 1)) == pytest.approx(TAIL) if hits < count else high == 1


@given(st.integers(0, 100))
def test_beyond_the_interval_of_a_count_what_was_seen_is_rare(count: int) -> None:
    def chance(mean: float, seen: range) -> float:
        return sum(exp(k * log(mean) - mean - lgamma(k + 1)) for k in seen)

    low, high = poisson_interval(count)
    assert 1 - chance(low, range(count)) == pytest.approx(TAIL) if count else low == 0
    assert chance(high, range(count + 1)) == pytest.approx(TAIL)
