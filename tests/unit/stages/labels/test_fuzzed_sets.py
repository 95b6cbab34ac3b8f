"""Whatever is lost, unreadable or unknown in a set: no picture becomes an undeclared negative, and no object is wrong."""

import pytest
from fuzzed_sets import FORMATS, import_fuzzed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize("layout", FORMATS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(seed=st.integers(0, 2**32))
def test_no_loss_makes_a_negative_or_a_wrong_object(tmp_path_factory: pytest.TempPathFactory, layout: str, seed: int) -> None:
    faults = import_fuzzed(layout, seed, tmp_path_factory.mktemp("fuzzed"))
    assert faults.none(), faults
    assert not faults.refused and not faults.unused, faults
