"""Counts, lists and values in messages."""

import re
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

# Words for people. What is appended to a variable of which the annotation has this type counts in no digest of code.
Message = str


def pluralize(count: int, things: str) -> str:
    """Return `count` and `things`, which are given in the plural, such as "frames" or "frames of 'meadow'".

    The plural must be regular: only its final `s`, or `es` after `ch`, `sh` and `x`, is removed for a count of 1.
    """
    noun, *rest = things.split(" of ", 1)
    return " of ".join([f"{count:,} {re.sub('(?<=[cs]h)es$|(?<=x)es$|s$', '', noun) if count == 1 else noun}", *rest])


def format_counts(counts: Mapping[str, int]) -> str:
    """Return the keys of `counts`, each with its count in parentheses, the most frequent first."""
    return ", ".join(f"{key} ({count:,})" for key, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def did_you_mean(given: str, known: Collection[str]) -> str:
    """Return "; did you mean 'name'?" with the one of `known` that is most like `given`, or an empty string if none is."""
    lower = {name.casefold(): name for name in sorted(known, reverse=True)}
    near = get_close_matches(given.strip().casefold(), lower, n=1)
    return f"; did you mean {lower[near[0]]!r}?" if near else ""


def truncate(items: Sequence[str], shown: int, where: str = "") -> list[str]:
    """Return the first `shown` of `items` and, if there are others, "and N more" and `where` these can be found."""
    return [*items[:shown], *([f"and {len(items) - shown} more{where}"] if len(items) > shown else [])]


def format_value(value: Any) -> str:
    """Return a JSON value as people write it: lists with commas, four digits of a number, and words for what is neither."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {format_value(inner)}" for name, inner in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(format_value, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else "none" if value is None else str(value)
