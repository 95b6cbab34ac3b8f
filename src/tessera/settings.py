"""What every settings model shares: nothing unknown, nothing changed later, and errors a person can act on."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from tessera.errors import TesseraError


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
        faults = "\n".join(f"  {line}" for line in _faults(model, error))
        raise TesseraError(f"{place} has {error.error_count()} fault(s):\n{faults}") from None


def _faults(model: type[BaseModel], error: ValidationError) -> Iterator[str]:
    for fault in error.errors(include_url=False):
        path = fault["loc"]
        key = ".".join(str(part) for part in path)
        if fault["type"] == "extra_forbidden":
            allowed = _keys(model, path[:-1])
            near = get_close_matches(str(path[-1]), allowed, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"allowed here: {', '.join(allowed)}"
            yield f"{key}: unknown key; {hint}"
        else:
            yield f"{key}: {fault['msg']}; given: {fault['input']!r}"


def _keys(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Return the keys allowed at `path` inside `model`, as far as its annotations tell."""
    for part in path:
        field = model.model_fields.get(str(part))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return sorted(model.model_fields)
