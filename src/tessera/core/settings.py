"""The base of all settings models, and one error that lists every wrong setting."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from tessera.core.errors import TesseraError
from tessera.core.messages import pluralize, truncate

T = TypeVar("T")


def _ascending(limits: tuple[T, T]) -> tuple[T, T]:
    if limits[0] > limits[1]:  # type: ignore[operator]
        raise ValueError("the first limit should not be above the second")
    return limits


def _some_weight(weights: dict[T, float]) -> dict[T, float]:
    if not sum(weights.values()):
        raise ValueError("at least one of the weights should be above 0")
    return weights


Fraction = Annotated[float, Field(ge=0, le=1)]
Range = Annotated[tuple[T, T], AfterValidator(_ascending)]
Weights = Annotated[dict[T, Annotated[float, Field(ge=0, le=1e6)]], AfterValidator(_some_weight)]


class Settings(BaseModel):
    """Base of the settings of each stage. Unknown keys and infinite numbers are errors. Values cannot change after loading.

    The docstring below a field is its description, in the schema and in the documents.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


S = TypeVar("S", bound=Settings)

_SECTION = "should be a section: its keys and values stand below it, indented"
_LIST = "should be a list: each entry stands in a line of its own, after a dash"
# What pydantic says in words of Python, by the type of the error.
PLAIN = {
    "dict_type": _SECTION,
    "float_parsing": "should be a number, without a unit and with a point for decimals",
    "int_parsing": "should be a whole number, without a unit",
    "invalid_key": "should be a name; if this is the rest of a number, write a point for its decimals",
    "list_type": _LIST,
    "missing": "is missing",
    "model_type": _SECTION,
    "tuple_type": _LIST,
}

FEW = 10
FEW_SECTIONS = 3
Keys = Sequence[int | str]  # the keys and indices that lead to a setting


def load(
    model: type[S],
    values: dict[str, Any],
    origin: str,
    *,
    locate: Callable[[Keys], str] = lambda keys: "",
    renamed: Mapping[str, str] = MappingProxyType({}),
) -> S:
    """Return `values` as an instance of `model`.

    Raises `TesseraError` with one line per fault: the key, the given value and the allowed ones. `origin` names the
    source of the values in the message. `locate` returns the position of a setting in a file, with which its line begins.
    `renamed`: earlier keys, with dots, and what to write instead.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults = _faults(model, values, error, locate, renamed)
        listed = without_passwords("\n".join(f"  {fault}" for fault in faults))
        raise TesseraError(f"{origin} has {pluralize(len(faults), 'faults')}:\n{listed}") from None


def _faults(
    model: type[BaseModel],
    values: dict[str, Any],
    error: ValidationError,
    locate: Callable[[Keys], str],
    renamed: Mapping[str, str],
) -> list[str]:
    """Return one line per key. If a key allows several types, the line joins the complaints of all of them."""
    unknown: dict[str, str] = {}
    positions: dict[str, str] = {}
    wrong: dict[str, list[str]] = {}
    given_values: dict[str, str] = {}
    for fault in error.errors(include_url=False):
        path = _path(fault["loc"], values, missing=fault["type"] == "missing")
        key = ".".join(map(str, path))
        # What is missing has no line: that of its section leads there.
        positions[key] = locate(path[:-1] if fault["type"] == "missing" else path)
        if fault["type"] == "extra_forbidden":
            allowed = sorted(_keys(model, path[:-1]))
            near = get_close_matches(str(path[-1]), allowed, n=1)
            elsewhere = [] if near else sorted(set(_sections_with(model, str(path[-1]))))
            hint = f"; did you mean {near[0]!r}?" if near else ""
            if elsewhere:
                hint = f"; indent it below {' or '.join(map(repr, truncate(elsewhere, FEW_SECTIONS)))}"
            # With a hint, a long list would only hide it.
            listed = "" if hint and len(allowed) > FEW else f" (allowed: {', '.join(allowed)})"
            unknown[key] = renamed.get(key) or f"unknown key{hint}{listed}"
        else:
            wrong.setdefault(key, []).append(complaint(fault))
            # Our own checks of several values name the wrong ones in their messages.
            if fault["type"] != "value_error" or not isinstance(fault["input"], dict | list | tuple):
                given_values[key] = f"; given: {as_given(fault['input'])}"
    # A fault inside a value is more useful than the fault that the value is not of another type.
    inside = [*unknown, *wrong]
    return [
        *(f"{positions[key]}{key}: {message}" for key, message in unknown.items()),
        *(
            line
            for key, messages in wrong.items()
            if not any(other.startswith(f"{key}.") for other in inside)
            # A check of all settings together names each of its faults in a line.
            for line in f"{positions[key]}{key}: {'; or '.join(messages)}{given_values.get(key, '')}".removeprefix(
                ": "
            ).splitlines()
        ),
    ]


def as_given(value: Any) -> str:
    """Return `value` for a message, with the fix where YAML reads something else than people mean."""
    if value is None:
        return "null, or nothing after the colon (leave the key out for its default; null removes single entries)"
    if isinstance(value, bool):
        return f"{value} (in YAML, yes, no, on and off are true and false: put text in quotes, and write null for nothing)"
    if isinstance(value, str) and value.casefold() in {"none", "nil"}:
        return f"{value!r} (in YAML, that is text: write null for nothing)"
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+e[-+]?\d+", value, re.IGNORECASE):
        return f"{value!r} (in YAML, that is text: write {re.sub('e', '.0e', value, flags=re.IGNORECASE)})"
    return repr(value)


def complaint(fault: ErrorDetails) -> str:
    """Return the message of `fault` in plain words. For our own checks, it has no prefix `Value error` as pydantic's has."""
    return str(fault["ctx"]["error"]) if fault["type"] == "value_error" else PLAIN.get(fault["type"], fault["msg"])


def without_passwords(text: str) -> str:
    """Return `text` with the user name and the password of each address replaced by `***`."""
    # `urlsplit` quotes an invalid address without its slashes.
    return re.sub(r"(//|netloc ')[^/?#\s]*@", r"\1***@", text)


def _path(location: tuple[int | str, ...], values: Any, missing: bool) -> list[int | str]:
    """Return the keys of `values` in `location`, which also contains the names of the types that pydantic tried.

    If `missing` is true, the last key is that of a missing value.
    """
    path = []
    for depth, part in enumerate(location, 1):
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            if not (missing and depth == len(location)):
                continue
        path.append(part)
    return path


def _sections_with(kind: Any, key: str, section: str = "") -> Iterator[str]:
    """Yield the sections with the `key` in values of the type `kind`, with dots; not those in lists and named by users."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if section and key in kind.model_fields:
            yield section
        for name, field in kind.model_fields.items():
            yield from _sections_with(field.annotation, key, f"{section}.{name}".lstrip("."))
    elif get_origin(kind) not in {dict, list, tuple}:
        for part in get_args(kind):
            yield from _sections_with(part, key, section)


def _keys(kind: Any, path: Sequence[int | str]) -> set[str]:
    """Return the keys that are allowed at `path` inside values of the type `kind`; empty if the type does not define them."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if not path:
            return set(kind.model_fields)
        field = kind.model_fields.get(str(path[0]))
        return _keys(field.annotation, path[1:]) if field else set()
    if get_origin(kind) in {dict, list, tuple}:
        path = path[1:]
    return {key for part in get_args(kind) for key in _keys(part, path)}
