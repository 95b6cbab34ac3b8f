"""The choice of the pictures whose labels are asked for, against slow code."""

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tessera.extras.active_learning.choose import at_random, bits, choose, far_apart, look_like, margins

POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=9)


def distance(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def chosen_slowly(rows: list[tuple[int, str, tuple[int, ...]]], count: int, candidates: float) -> list[str]:
    """`rows`: doubt, key and vector of each picture."""
    left = sorted(rows)[: max(count, int(candidates * count))]
    taken: list[tuple[int, str, tuple[int, ...]]] = []
    while left and len(taken) < count:
        far = [min((distance(row[2], other[2]) for other in taken), default=0) for row in left]
        taken.append(left.pop(far.index(max(far))))
    return [key for _, key, _ in taken]


@given(POINTS, st.integers(1, 5), st.sampled_from([1.0, 1.5, 3.0]), st.data())
def test_the_least_certain_pictures_that_differ_most_are_chosen_in_any_order_and_none_twice(
    points: list[tuple[int, int]], count: int, candidates: float, data: st.DataObject
) -> None:
    doubt = data.draw(st.lists(st.integers(0, 2), min_size=len(points), max_size=len(points)))
    rows = [(value, f"k{number}", point) for number, (value, point) in enumerate(zip(doubt, points, strict=True))]
    expected = chosen_slowly(rows, count, candidates)
    assert len(set(expected)) == min(count, len(rows))
    shuffled = data.draw(st.permutations(rows))
    keys = [key for _, key, _ in shuffled]
    vectors = np.array([point for _, _, point in shuffled])
    found = choose(keys, vectors, np.array([value for value, _, _ in shuffled]), count, candidates)
    assert [keys[number] for number in found] == expected
    everywhere = choose(keys, vectors, None, count, candidates)
    assert [keys[number] for number in everywhere] == chosen_slowly([(0, *row[1:]) for row in rows], count, len(rows))


@given(POINTS, st.integers(1, 4))
def test_chosen_pictures_leave_none_more_than_twice_as_far_away_as_the_best_choice(
    points: list[tuple[int, int]], count: int
) -> None:
    def radius(numbers: tuple[int, ...]) -> float:
        return max(min(distance(point, points[number]) for number in numbers) for point in points) ** 0.5

    best = min(map(radius, combinations(range(len(points)), min(count, len(points)))))
    assert radius(tuple(far_apart(np.array(points), count))) <= 2 * best + 1e-9


@given(st.lists(st.integers(0, 2**64 - 1), max_size=5), st.lists(st.integers(0, 2**64 - 1), max_size=5), st.integers(0, 40))
def test_hashes_are_compared_bit_by_bit(hashes: list[int], others: list[int], limit: int) -> None:
    values = np.array(hashes, np.uint64)
    expected = [any((one ^ other).bit_count() <= limit for other in others) for one in hashes]
    assert look_like(values, np.array(others, np.uint64), limit).tolist() == expected
    assert [int(row.sum()) for row in bits(values)] == [one.bit_count() for one in hashes]


def test_pictures_are_drawn_by_their_keys_alone() -> None:
    keys = [f"k{number}" for number in range(50)]
    drawn = {keys[number] for number in at_random(keys, 10, 0)}
    turned = keys[::-1]
    assert len(drawn) == 10 and drawn == {turned[number] for number in at_random(turned, 10, 0)}
    assert drawn != {keys[number] for number in at_random(keys, 10, 1)}


def test_the_margin_is_the_lead_of_the_most_probable_class() -> None:
    assert margins(np.array([[0.2, 0.7, 0.1], [0.4, 0.2, 0.4]])).tolist() == [0.7 - 0.2, 0.0]
