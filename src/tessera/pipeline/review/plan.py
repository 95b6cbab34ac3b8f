"""What the next run will do with the decisions."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tessera.core.messages import counted
from tessera.records.tables.review import CLIPS

UNITS = {CLIPS: "clips"}


def plan(decided: Iterable[tuple[Mapping[str, Any], Mapping[str, str]]]) -> list[str]:
    """Return what the next run will change, each with what it is done to, such as `left out of the datasets: 3 clips`.

    `decided`: items, each with the decision in force. A decision that only confirms what the run did changes nothing.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for item, row in decided:
        action = row.get("decision") or row["action"]
        unit = UNITS.get(item["queue"], "pictures")
        if action == "drop" and item["state"] != "dropped":
            counts["left out of the datasets", unit] += 1
        elif action == "keep" and item["state"] == "dropped":
            counts["back in the datasets", unit] += 1
        elif action == "relabel" and row["label"] != item["label"]:
            counts["with another label", unit] += 1
        elif action == "negative":
            counts["negatives, pictures without a region", unit] += 1
        elif action in {"move", "reject", "rename", "merge"}:
            verb = {"move": "moved to another identity", "reject": "rejected", "rename": "renamed", "merge": "merged"}[action]
            counts[verb, "crops" if action in {"move", "reject"} else "identities"] += 1
    return [f"{what}: {counted(count, unit)}" for (what, unit), count in sorted(counts.items())]
