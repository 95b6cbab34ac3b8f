"""Counts agree with their nouns, and long lists say how much they leave out."""

import pytest

from tessera.core.messages import pluralize, truncate


@pytest.mark.parametrize(
    ("count", "things", "text"),
    [
        (0, "frames", "0 frames"),
        (1, "frames", "1 frame"),
        (2, "frames", "2 frames"),
        (1, "label files", "1 label file"),
        (1, "stretches of 'boxes'", "1 stretch of 'boxes'"),
        (1, "boxes", "1 box"),
        (2, "stretches of 'boxes'", "2 stretches of 'boxes'"),
    ],
)
def test_a_count_agrees_with_its_noun(count: int, things: str, text: str) -> None:
    assert pluralize(count, things) == text


def test_a_list_ends_with_the_number_of_items_that_it_leaves_out() -> None:
    assert truncate(["a", "b", "c"], 3) == ["a", "b", "c"]
    assert truncate(["a", "b", "c"], 1) == ["a", "and 2 more"]
    assert truncate(["a", "b", "c"], 2, ", in a file") == ["a", "b", "and 1 more, in a file"]
