"""What is recorded of a job does not depend on the order of what has none, and a difference is named."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.workflow.records import Changes, _canonical, _differences, recorded_contents

values = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)
states = st.fixed_dictionaries(
    {
        "inputs": st.dictionaries(st.sampled_from("ab"), st.dictionaries(st.sampled_from("xyz"), st.sampled_from("12"))),
        "params": st.dictionaries(st.sampled_from(["code", "settings", "seed"]), values),
        "script": st.sampled_from("12"),
    }
)


def turned(value: Any) -> Any:
    """Return `value` with the keys of all dictionaries in the opposite order."""
    if isinstance(value, dict):
        return {key: turned(each) for key, each in reversed(value.items())}
    return [turned(each) for each in value] if isinstance(value, list) else value


@given(value=values)
def test_the_order_of_keys_does_not_count(value: Any) -> None:
    assert _canonical(turned(value)) == _canonical(value)


@given(members=st.lists(st.text(), unique=True))
def test_the_order_of_a_set_does_not_count_and_that_of_a_list_does(members: list[str]) -> None:
    assert _canonical(set(members)) == _canonical(frozenset(members)) == _canonical(sorted(members))
    assert (_canonical(members) == _canonical(list(reversed(members)))) == (len(members) < 2)


@given(old=states, new=states)
def test_there_is_a_difference_exactly_if_the_states_differ(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert bool(Changes(_differences(old, new), [])) == (_canonical(old) != _canonical(new))


def test_differences_are_named_with_old_and_new_values() -> None:
    old = {
        "inputs": {"files": {"a.mp4": "1", "b.mp4": "1"}},
        "params": {"settings": {"quality": 95, "sides": [1, 2]}, "code": "1"},
        "script": "1",
    }
    new = {
        "inputs": {"files": {"a.mp4": "2", "c.mp4": "1"}},
        "params": {"settings": {"quality": 80, "sides": [1, 3], "mode": "every"}, "code": "2"},
        "script": "2",
    }
    assert list(_differences(old, new)) == [
        "a.mp4 has other content",
        "b.mp4 is no input any more",
        "c.mp4 is a new input",
        "settings.mode: nothing → every",
        "settings.quality: 95 → 80",
        "settings.sides[1]: 2 → 3",
        "the code of its functions has changed",
        "its script has changed",
    ]


def test_definitions_that_changed_are_named_once_if_they_are_known() -> None:
    codes = {
        "1": {"core.read": "a", "core.cut": "a", "core.old": "a"},
        "2": {"core.read": "b", "core.cut": "a", "core.new": "a"},
        "3": {"core.read": "a"},
        "4": {"core.read": "b"},
    }
    states = [
        {"inputs": {}, "params": {"code": code, "train_code": inner}, "script": "1"} for code, inner in (("1", "3"), ("2", "4"))
    ]
    changes = ["core.read has changed", "core.new is new", "core.old is used no longer"]
    assert list(_differences(*states, codes.__getitem__)) == changes
    unknown = {**codes, "1": {}, "3": codes["4"]}
    assert list(_differences(*states, unknown.__getitem__)) == ["the code of its functions has changed"]


@pytest.mark.parametrize("damaged", [None, "", "[]", "1", "{}", '{"inputs": 1}', '{"inputs": {"a": 1}}', "\0"])
def test_a_damaged_record_states_no_inputs(damaged: str | None) -> None:
    assert recorded_contents(damaged) == {}
