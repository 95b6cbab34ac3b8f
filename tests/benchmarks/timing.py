"""Measure the times of several functions in turn."""

import itertools
import time
from collections.abc import Callable


def seconds(*works: Callable[[], object], repeats: int = 3, clock: Callable[[], float] = time.monotonic) -> list[float]:
    """Return the least seconds of each of `works`. They run in turn, so that other load on the machine affects all of them.

    `clock`: `time.process_time` counts the seconds of cores that this process takes.
    """
    best = [float("inf")] * len(works)
    for _, (number, work) in itertools.product(range(repeats), enumerate(works)):
        start = clock()
        work()
        best[number] = min(best[number], clock() - start)
    return best
