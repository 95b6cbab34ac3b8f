"""Work runs ahead of what takes its results, but not farther than it may."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

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
