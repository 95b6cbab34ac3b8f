"""How the settings of a project differ from the defaults."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter

from tessera.configuration.read import Configuration
from tessera.core.settings import load


def changed_settings(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings in `values` that differ from the defaults, and these defaults, both nested as in the settings file.

    An entry that has no default, such as a classifier, is returned without the settings in it that are the defaults of all such
    entries. Raises `TesseraError` that lists all faults in `values`.
    """
    origin = "the configuration"
    changed, defaults = _differences(load(Configuration, values, origin), load(Configuration, {}, origin))
    return changed, defaults


def _differences(given: Any, default: Any) -> tuple[Any, Any]:
    """Return what differs in `given` and in `default`, as plain JSON types."""
    of_given, of_default = _fields_of(given), _fields_of(default)
    if not (isinstance(of_given, Mapping) and isinstance(of_default, Mapping)):
        return _own_values(given), _own_values(default)
    changed, defaults = {}, {}
    for name in dict.fromkeys([*of_given, *of_default]):
        if name not in of_default:
            changed[name] = _own_values(of_given[name])
        elif name not in of_given:
            defaults[name] = _own_values(of_default[name])
        elif of_given[name] != of_default[name]:
            changed[name], defaults[name] = _differences(of_given[name], of_default[name])
    return changed, defaults


def _fields_of(value: Any) -> Any:
    return {name: getattr(value, name) for name in type(value).model_fields} if isinstance(value, BaseModel) else value


def _own_values(value: Any) -> Any:
    return TypeAdapter(Any).dump_python(value, mode="json", exclude_defaults=True)
