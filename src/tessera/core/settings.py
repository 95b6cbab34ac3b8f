"""What every settings model shares: nothing unknown, nothing changed later, and errors a person can act on."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from tessera.core.errors import TesseraError


class Settings(BaseModel):
    """Base of the settings of each room. Unknown keys are errors; values cannot change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


S = TypeVar("S", bound=Settings)


def load(model: type[S], values: dict[str, Any], place: str) -> S:
    """Return `values` as `model`.

    Raises `TesseraError` with one line per fault: the key, what was given, what is allowed.
    `place` is where the values come from, for the message.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults = _faults(model, values, error)
        listed = "\n".join(f"  {fault}" for fault in faults)
        raise TesseraError(f"{place} has {len(faults)} fault(s):\n{listed}") from None


def _faults(model: type[BaseModel], values: dict[str, Any], error: ValidationError) -> list[str]:
    """Return one line per key: where several types are allowed, each of them has its own complaint about one value."""
    unknown: list[str] = []
    wrong: dict[str, list[str]] = {}
    given: dict[str, str] = {}
    for fault in error.errors(include_url=False):
        path = _path(fault["loc"], values, missing=fault["type"] == "missing")
        key = ".".join(map(str, path))
        if fault["type"] == "extra_forbidden":
            allowed = sorted(_keys(model, path[:-1]))
            near = get_close_matches(str(path[-1]), allowed, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            unknown.append(f"{key}: unknown key{hint} (allowed: {', '.join(allowed)})")
        else:
            wrong.setdefault(key, []).append(complaint(fault))
            # A check of ours that looks at several values says itself which are wrong.
            if fault["type"] != "value_error" or not isinstance(fault["input"], dict | list | tuple):
                given[key] = f"; given: {fault['input']!r}"
    # What is wrong inside a value says more than that another type was allowed in its place.
    inside = [*unknown, *(f"{key}:" for key in wrong)]
    return [
        *dict.fromkeys(unknown),
        *(
            f"{key}: {'; or '.join(messages)}{given.get(key, '')}".removeprefix(": ")
            for key, messages in wrong.items()
            if not any(other.startswith(f"{key}.") for other in inside)
        ),
    ]


def complaint(fault: ErrorDetails) -> str:
    """Return what is wrong; of a check of ours in its own words, before which pydantic writes `Value error`."""
    return str(fault["ctx"]["error"]) if fault["type"] == "value_error" else fault["msg"]


def _path(location: tuple[int | str, ...], values: Any, missing: bool) -> list[int | str]:
    """Return `location` as keys of `values`, without the names of the types that pydantic tried in between."""
    path = []
    for place, part in enumerate(location, 1):
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            if not (missing and place == len(location)):
                continue
        path.append(part)
    return path


def _keys(kind: Any, path: Sequence[int | str]) -> set[str]:
    """Return the keys allowed at `path` inside values of the type `kind`, as far as it tells."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if not path:
            return set(kind.model_fields)
        field = kind.model_fields.get(str(path[0]))
        return _keys(field.annotation, path[1:]) if field else set()
    if get_origin(kind) in {dict, list, tuple}:
        path = path[1:]
    return {key for part in get_args(kind) for key in _keys(part, path)}
