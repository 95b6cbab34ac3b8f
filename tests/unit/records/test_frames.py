"""The frames that samples are made of are spread over their source, and left out where their source is not for the dataset."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tessera.records.frames import evenly_spaced


@given(st.integers(0, 60), st.integers(0, 20))
def test_chosen_frames_are_spread_evenly(count: int, most: int) -> None:
    keys = [f"{number:02}" for number in range(count)]
    chosen = evenly_spaced(keys, most)
    assert len(chosen) == min(count, most) and chosen == sorted(set(chosen))
    gaps = np.diff([keys.index(key) for key in chosen])
    assert not len(gaps) or gaps.max() - gaps.min() <= 1
