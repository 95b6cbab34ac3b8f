"""What became of each item, as the ledger of a result says."""

from pathlib import Path

from tessera.core.ledger import read_ledger


def outcomes(place: Path) -> dict[str, tuple[str, str]]:
    """Return the status and the reason of each item in `place/ledger.jsonl`, which must have one row for each."""
    rows = read_ledger(place / "ledger.jsonl")
    assert len({row["key"] for row in rows}) == len(rows)
    return {row["key"]: (row["status"], row["reason"]) for row in rows}
