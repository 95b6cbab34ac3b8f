"""Escaped text, tables and headers for Markdown."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

ROWS_SHOWN = 50
FOR_ADULTS = "not-for-all-audiences"  # the tag by which hubs of models and datasets hide what is not for everybody


def front_matter(fields: Mapping[str, Any]) -> str:
    """Return `fields` as the YAML header by which hubs list a card; those that are empty are left out."""
    stated = {name: value for name, value in fields.items() if value}
    return f"---\n{yaml.safe_dump(stated, sort_keys=False, allow_unicode=True)}---\n\n"


def without_front_matter(text: str) -> str:
    """Return `text` without its YAML header, if it has one."""
    return re.sub(r"\A---\n.*?^---\n+", "", text, flags=re.DOTALL | re.MULTILINE)


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table in Markdown with at most `ROWS_SHOWN` rows, followed by the number of rows that are not shown.

    A column is aligned to the right if its first cell is an integer.
    """
    right = [bool(rows) and isinstance(rows[0][column], int) for column in range(len(header))]
    lines = [
        header,
        ["--:" if to_right else ":--" for to_right in right],
        *([plain(cell) for cell in row] for row in rows[:ROWS_SHOWN]),
    ]
    more = f"\nand {len(rows) - ROWS_SHOWN} more, see the JSON beside this file\n" if len(rows) > ROWS_SHOWN else ""
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + more


def plain(value: Any) -> str:
    """Return `value` as text on one line, with the characters escaped that Markdown interprets."""
    # Markdown does not interpret an underscore inside a word.
    return re.sub(r"([\\|`*<>\[\]]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", " ".join(str(value).split()))
