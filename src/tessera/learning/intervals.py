"""Confidence intervals, most by the bootstrap over sources (Efron and Tibshirani, An introduction to the bootstrap, 1993).

The samples of one source resemble each other, so sources are drawn, not samples. Each draw is a number per source: how often it
was drawn. Values of two models that are computed from the same draws give the interval of their difference.
"""

from typing import NamedTuple

import numpy as np

from tessera.core.seeds import generator

RESAMPLES = 1000
LEVEL = 0.95  # the fraction of such intervals that hold the value of all sources
LEAST = 5  # sources; of fewer, an interval would say nothing


class Interval(NamedTuple):
    """The lower and the upper end of a confidence interval."""

    low: float
    high: float


def draws(sources: int, seed: int, name: str) -> np.ndarray:
    """Return how often each of `sources` sources is in each draw: int64 (RESAMPLES, sources); each row adds up to `sources`.

    `name` is what the draws are for: equal `seed` and `name` give equal draws.
    """
    chosen = generator(seed, "bootstrap", name).integers(0, sources, (RESAMPLES, sources))
    return np.apply_along_axis(np.bincount, 1, chosen, minlength=sources)


def interval(values: np.ndarray, sources: int) -> Interval | None:
    """Return the interval of a statistic whose `values`, float64 (RESAMPLES,), were computed for each of the `draws`.

    NaN, the value of draws that cannot be computed, is left out. None if there are fewer than `LEAST` sources, or no values.
    """
    finite = values[np.isfinite(values)]
    if sources < LEAST or not finite.size:
        return None
    low, high = np.quantile(finite, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


def rounded_interval(values: np.ndarray, sources: int) -> list[float] | None:
    """Return the ends of the `interval`, rounded to six decimals, for JSON."""
    ends = interval(values, sources)
    return ends and [round(end, 6) for end in ends]


def too_few(sources: int) -> str:
    """Return why there is no interval."""
    return f"too few sources for an interval ({sources})"


def clopper_pearson(hits: int, count: int) -> Interval:
    """Return the exact interval of a fraction of which `hits` of `count` independent items were seen; `count` is at least 1.

    Clopper and Pearson, The use of confidence or fiducial limits illustrated in the case of the binomial (1934).
    """
    from scipy.special import betaincinv

    tail = (1 - LEVEL) / 2
    low = betaincinv(hits, count - hits + 1, tail) if hits else 0
    high = betaincinv(hits + 1, count - hits, 1 - tail) if hits < count else 1
    return Interval(float(low), float(high))


def poisson_interval(count: int) -> Interval:
    """Return the exact interval of the mean of a Poisson distribution of which `count` was drawn.

    Garwood, Fiducial limits for the Poisson distribution (1936).
    """
    from scipy.special import gammaincinv

    tail = (1 - LEVEL) / 2
    return Interval(float(gammaincinv(count, tail)) if count else 0.0, float(gammaincinv(count + 1, 1 - tail)))
