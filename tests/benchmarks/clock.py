"""How long works take, beside each other."""

import itertools
import time
from collections.abc import Callable


def seconds(*works: Callable[[], object], repeats: int = 3) -> list[float]:
    """Return the least seconds that each of `works` takes; they take turns, so that a busy machine is busy for all."""
    best = [float("inf")] * len(works)
    for _, (number, work) in itertools.product(range(repeats), enumerate(works)):
        start = time.monotonic()
        work()
        best[number] = min(best[number], time.monotonic() - start)
    return best
