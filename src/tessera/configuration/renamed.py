"""Keys of the settings of earlier versions, and what they are called now."""

from collections.abc import Iterator, Mapping
from typing import Any

from tessera.core.errors import TesseraError
from tessera.core.messages import pluralize

# By the former key: the key of today, or a sentence if none does the same. A section stands for all keys in it.
RENAMED = {"preview.restore": "restore"}


def check_names(values: Mapping[str, Any]) -> None:
    """Raise `TesseraError` that lists the keys in `values` that have another name now, a line for each, with this name."""
    faults = [fault for former, now in RENAMED.items() for fault in _faults(values, former, now)]
    if faults:
        raise TesseraError("\n  ".join([f"the configuration has {pluralize(len(faults), 'former keys')}:", *faults]))


def _faults(values: Mapping[str, Any], former: str, now: str) -> Iterator[str]:
    value: Any = values
    for key in former.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return
        value = value[key]
    if " " in now:
        yield f"{former}: {now}"
        return
    inner = [f".{key}" for key in value] if isinstance(value, Mapping) and value else [""]
    yield from (f"{former}{key} is now {now}{key}; rename it" for key in inner)
