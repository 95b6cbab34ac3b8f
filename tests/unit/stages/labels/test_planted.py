"""Random sets with faults of every kind: see `bench_numbered_sets`, which tries many more of them."""

import numpy as np
import pytest
from bench_numbered_sets import PLANTS, faults_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(seed=st.integers(0, 2**32))
@pytest.mark.parametrize("layout", PLANTS)
def test_no_object_gets_a_wrong_class_and_no_image_becomes_a_negative_or_is_lost(
    tmp_path_factory: pytest.TempPathFactory, layout: str, seed: int
) -> None:
    assert faults_of(PLANTS[layout](np.random.default_rng(seed)), layout, tmp_path_factory.mktemp(layout)) == []
