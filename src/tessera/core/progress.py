"""The progress of a job, and the time that is left."""

import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from tessera.core.log import tell
from tessera.core.messages import pluralize

T = TypeVar("T")
REPORT_EVERY = 5.0  # seconds between progress lines


def progress(items: Iterable[T], total: int | None = None, unit: str = "items") -> Iterator[T]:
    """Yield `items`, and report every few seconds how many are done, how many a second, and how much time is left.

    `total` defaults to `len(items)` if `items` has a length. Without a total, the time left is not known.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    start = last = time.monotonic()
    done = 0
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= REPORT_EVERY:
            last = now
            tell(_count(done, total, unit, now - start))
    if last != start:
        tell(f"{pluralize(done, unit)} in {_duration(time.monotonic() - start)}")


def _count(done: int, total: int | None, unit: str, seconds: float) -> str:
    rate = f"{done / seconds:.1f}/s" if done > seconds else f"{done / seconds:.2g}/s"
    if not total:
        return f"{pluralize(done, unit)}, {rate}"
    return f"{done:,}/{pluralize(total, unit)}, {rate}, {_duration(seconds / done * (total - done))} left"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
