"""Work runs ahead of what takes its results, but not farther than it may."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tessera.core.pool import ahead


def test_items_are_processed_in_order() -> None:
    with ThreadPoolExecutor(2) as pool:
        done = [(item, future.result()) for item, future in ahead(pool, lambda item: -item, range(99), 4)]
    assert done == [(item, -item) for item in range(99)]


def test_only_the_given_number_of_items_is_taken_ahead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(99):
            taken.append(item)
            yield item

    with ThreadPoolExecutor(1) as pool:
        next(ahead(pool, abs, items(), 4))
    assert taken == [0, 1, 2, 3, 4]


PROGRAM = """
import sys
from concurrent.futures import ThreadPoolExecutor
from resource import RUSAGE_SELF, getrusage
from tessera.core.pool import keep_freed_memory

def use(rounds):
    for _ in range(rounds):
        pictures = [bytes(bytearray(2**20)) for _ in range(30)]
        del pictures
    return getrusage(RUSAGE_SELF).ru_minflt

if sys.argv[1] == "keep":
    keep_freed_memory()
with ThreadPoolExecutor(1) as pool:
    print(-pool.submit(use, 5).result() + pool.submit(use, 5).result())
"""


def test_memory_that_was_freed_is_not_taken_from_the_system_again() -> None:
    run = partial(subprocess.run, capture_output=True, text=True, check=True)
    taken = {each: int(run([sys.executable, "-c", PROGRAM, each]).stdout) for each in ("give", "keep")}
    assert taken["keep"] < 100 < taken["give"]
