"""Measure the times of several functions in turn."""

import itertools
import time
from collections.abc import Callable


def seconds(*works: Callable[[], object], repeats: int = 3) -> list[float]:
    """Return the least seconds of each of `works`. They run in turn, so that other load on the machine affects all of them."""
    best = [float("inf")] * len(works)
    for _, (number, work) in itertools.product(range(repeats), enumerate(works)):
        start = time.monotonic()
        work()
        best[number] = min(best[number], time.monotonic() - start)
    return best
