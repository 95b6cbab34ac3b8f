"""Time spans are read as people write them."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.imaging.spans import inside, parse_spans


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=8, unique=True).filter(lambda each: len(each) % 2 == 0))
def test_spans_are_read_in_hours_minutes_and_seconds(thousandths: list[int]) -> None:
    times = sorted(thousandths)
    texts = [f"{at // 3_600_000}:{at // 60_000 % 60:02}:{at % 60_000 / 1000:06.3f}" for at in times]
    found = parse_spans([f"{begin} - {end}" for begin, end in zip(texts[::2], texts[1::2], strict=True)])
    assert [each for span in found for each in span] == [Fraction(at, 1000) for at in times]


@pytest.mark.parametrize(
    ("texts", "fault"),
    [(["5"], "no time span"), (["5-4"], "end must lie after"), (["0-5", "4-9"], "before the one before"), (["a-b"], "no time")],
)
def test_what_is_no_span_is_refused(texts: list[str], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        parse_spans(texts)


def test_the_end_of_a_span_is_outside() -> None:
    time = np.arange(50) / 25
    assert np.flatnonzero(inside(time, parse_spans(["0.4-0.8", "1.6-1.64"]))).tolist() == [*range(10, 20), 40]
    assert inside(time, []).all()
