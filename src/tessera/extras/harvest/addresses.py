"""Tables of the addresses of pictures, with the rights to them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tessera.core.errors import Failed
from tessera.core.files import file_name
from tessera.core.messages import Message
from tessera.core.tsv import read_sheet, refuse, write_sheet
from tessera.records.manifest import SourceId

FIX = "set `harvest.table` to a table of addresses (see docs/harvest.md)"
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Address(BaseModel):
    """The address of a picture, and what is known of the picture. The fields on its rights are those of a source."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(min_length=1)
    content: Literal["general", "adult"]
    rights: str = Field("", description="licence or contract reference")
    consent: str = Field("", description="reference to the release of the people shown")
    adults_verified: Literal["yes", "no", ""] = Field("", description="`yes` is required if content is adult")
    source: SourceId = Field("harvest", min_length=1, description="the source that it becomes a picture of")
    label: str = Field("", description="class or score of the picture; empty: unknown")
    credit: str = Field("", description="who made it, or where it is described")

    @field_validator("*", mode="before")
    @classmethod
    def _one_line(cls, value: Any) -> Any:
        if isinstance(value, str) and CONTROL.search(value):
            raise ValueError("should have no tabs, line ends or other control characters")
        return value.strip() if isinstance(value, str) else value

    @field_validator("source", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return value or cls.model_fields["source"].default


def read_addresses(tables: Sequence[Path]) -> dict[str, Address | Failed]:
    """Return what the `tables` say about each address, sorted by address; a fault where they say different things.

    `tessera.core.tsv.read_sheet` describes their format; the columns are those of `Address`. Raises `TesseraError` that lists
    every fault of a table with its line, also sources with two kinds of content, which could not become one source.
    """
    addresses: dict[str, Address | Failed] = {}
    location_of_url: dict[str, str] = {}
    first: dict[str, tuple[Address, str]] = {}
    for table in tables:
        sheet = read_sheet(table, Address, "table of addresses", FIX)
        faults: list[tuple[int, Message]] = []
        for line, address in sheet.rows:
            location = f"line {line} of {table}"
            other, where = first.setdefault(file_name(address.source).casefold(), (address, location))
            if other.source != address.source:
                faults.append((line, f"source {address.source!r} differs only in case from {other.source!r}, {where}"))
            elif other.content != address.content:
                faults.append(
                    (
                        line,
                        f"source {address.source!r} is {other.content} in {where}; name another for {address.content} content",
                    )
                )
            same = addresses.setdefault(address.url, address)
            before = location_of_url.setdefault(address.url, location)
            if isinstance(same, Address) and same != address:
                said = "; ".join(
                    f"{name}: {getattr(same, name)!r} and {getattr(address, name)!r}"
                    for name in Address.model_fields
                    if getattr(same, name) != getattr(address, name)
                )
                fix = "keep one, or change the search that found it"
                addresses[address.url] = Failed("address with two rows", f"{before} and {location} differ ({said:.500}); {fix}")
        refuse(table, [*sheet.faults, *faults])
    return dict(sorted(addresses.items()))


def write_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], path: Path) -> None:
    """Write `rows` to `path`, a table separated by tabs with these `columns`; other keys are left out."""
    write_sheet(path, columns, ([row.get(name, "") for name in columns] for row in rows))
