"""Which admitted sources may feed a dataset: all, unless the manifest reserves them for other datasets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tessera.records.tables.footage import Sources
from tessera.records.tables.table import read_table

NOT_ADMITTED = "source not admitted", ""  # the reason and the detail for a source that is not in the table


def refused(decided: Mapping[str, Any]) -> tuple[str, str]:
    """Return reason and detail, for a ledger, for a source that was not admitted. `decided`: its row of that ledger."""
    return "source refused", ": ".join(filter(None, (decided["reason"], decided["detail"])))


def refusal(source: Mapping[str, Any], datasets: Sequence[str] | None) -> tuple[str, str]:
    """Return reason and detail, for a ledger, if `source` may feed none of `datasets`; two empty texts if it may.

    `source`: a row of `tables.Sources`. `datasets`: None if it is only shown, and feeds none.
    """
    if datasets is not None and source["use"] and not set(datasets) & set(source["use"]):
        return f"source not for {' or '.join(datasets)}", ""
    return "", ""


def refusals(sources: Path, datasets: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the `refusal` of each source in the table `sources` (`tables.Sources`), by its id."""
    return {row["source"]: refusal(row, datasets) for row in read_table(sources, Sources).iter_rows(named=True)}
