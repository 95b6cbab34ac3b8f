"""A wrong setting is reported with its key, the given value and the allowed ones."""

import pytest
from pydantic import Field, ValidationError, field_validator

from tessera.core.errors import TesseraError
from tessera.core.messages import pluralize
from tessera.core.settings import Settings, load


class Inner(Settings):
    side: int = Field(640, gt=0)
    colour: str = "red"


class Outer(Settings):
    inner: Inner = Inner()
    by_name: dict[str, Inner] = Field({})
    many: list[Inner] = Field([])
    either: Inner | int = 3
    maybe: Inner | None = None
    sides: dict[str, int] = Field({})

    @field_validator("sides", "many")
    @classmethod
    def _none_is_red(cls, value: dict[str, int] | list[Inner]) -> dict[str, int] | list[Inner]:
        if "red" in value or Inner() in value:
            raise ValueError("no side is red")
        return value

    @field_validator("either")
    @classmethod
    def _not_seven(cls, value: Inner | int) -> Inner | int:
        if value == 7:
            raise ValueError("seven is too many")
        return value


def faults(values: dict[str, object]) -> list[str]:
    with pytest.raises(TesseraError) as error:
        load(Outer, values, "the test")
    title, *lines = str(error.value).splitlines()
    assert title == f"the test has {pluralize(len(lines), 'faults')}:"
    return lines


def test_valid_values_are_loaded_and_completed() -> None:
    settings = load(Outer, {"inner": {"side": 3}, "by_name": {"a": {"colour": "blue"}}}, "the test")
    assert settings.inner == Inner(side=3)
    assert settings.by_name["a"] == Inner(side=640, colour="blue")


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"inner": {"sides": 3}}, "inner.sides"),
        ({"by_name": {"a": {"sides": 3}}}, "by_name.a.sides"),
        ({"many": [{}, {"sides": 3}]}, "many.1.sides"),
        ({"maybe": {"sides": 3}}, "maybe.sides"),
    ],
)
def test_an_unknown_key_is_named_with_what_is_allowed(values: dict[str, object], place: str) -> None:
    assert faults(values) == [f"  {place}: unknown key; did you mean 'side'? (allowed: colour, side)"]


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"inner": {"side": "5px"}}, "inner.side: should be a whole number, without a unit; given: '5px'"),
        ({"inner": ["side"]}, "inner: should be a section: its keys and values stand below it, indented; given: ['side']"),
        ({"many": {"side": 3}}, "many: should be a list: each entry stands in a line of its own, after a dash; given:"),
        ({"inner": {5: 1}}, "inner.5: should be a name; if this is the rest of a number, write a point for its decimals"),
        ({"colour": "red"}, "colour: unknown key; indent it below 'either' or 'inner' or 'maybe' (allowed: by_name, either"),
    ],
)
def test_faults_are_explained_in_words_of_yaml(values: dict[str, object], fault: str) -> None:
    (line,) = faults(values)
    assert line.startswith(f"  {fault}")


def test_an_unknown_key_like_no_other_gets_no_guess() -> None:
    assert faults({"xyz": 3}) == ["  xyz: unknown key (allowed: by_name, either, inner, many, maybe, sides)"]


def test_a_wrong_value_is_named_with_what_is_allowed() -> None:
    assert faults({"inner": {"side": 0}}) == ["  inner.side: Input should be greater than 0; given: 0"]


def test_our_own_checks_have_only_their_message_and_repeat_no_collection() -> None:
    assert faults({"either": 7}) == ["  either: seven is too many; given: 7"]
    assert faults({"sides": {"red": 3, "blue": 4}}) == ["  sides: no side is red"]
    assert faults({"many": [{}]}) == ["  many: no side is red"]


def test_a_value_that_fits_no_allowed_type_is_one_fault() -> None:
    (line,) = faults({"either": "much"})
    assert line.startswith(
        "  either: should be a section: its keys and values stand below it, indented; or should be a whole number"
    )
    assert line.endswith("given: 'much'")


def test_a_fault_inside_a_value_hides_the_complaints_of_other_types() -> None:
    assert faults({"either": {"side": 0}}) == ["  either.side: Input should be greater than 0; given: 0"]
    assert faults({"either": {"sides": 3}}) == ["  either.sides: unknown key; did you mean 'side'? (allowed: colour, side)"]


def test_all_faults_are_listed_at_once() -> None:
    assert len(faults({"inner": {"side": 0, "colour": 3}, "by_name": {"a": {"x": 1}}, "z": 1})) == 4


def test_settings_do_not_change_after_loading() -> None:
    settings = load(Outer, {}, "the test")
    with pytest.raises(ValidationError, match="frozen"):
        settings.maybe = Inner()  # type: ignore[misc]
