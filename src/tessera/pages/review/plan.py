"""What the next run will do with the decisions."""

import os
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tessera.core.errors import TesseraError
from tessera.core.messages import pluralize
from tessera.pages.review.actions import LABELLED
from tessera.records.tables.review import CLIPS, FACES, REGIONS

UNITS = {CLIPS: "clips", FACES: "faces", REGIONS: "regions"}
OF_IDENTITIES = {
    "move": ("moved to another identity", "crops"),
    "reject": ("rejected", "crops"),
    "rename": ("renamed", "groups of crops"),
    "merge": ("merged", "groups of crops"),
}


def plan(decided: Iterable[tuple[Mapping[str, Any], Mapping[str, str]]]) -> list[str]:
    """Return what the next run will change, each with what it is done to, such as `left out of the datasets: 3 clips`.

    `decided`: items, each with the decision in force. A decision that only confirms what the run did changes nothing.
    """
    # An item may be in several queues, and an identity has many crops: each thing that is decided about counts once.
    changed: dict[tuple[str, str], set[str]] = defaultdict(set)
    for item, row in decided:
        action = row.get("decision") or row["action"]
        unit = UNITS.get(item["queue"], "pictures")
        what = None
        if action == "drop" and item["state"] != "dropped":
            what = "left out of the datasets", unit
        elif action == "keep" and item["state"] == "dropped":
            what = "back in the datasets", unit
        elif row.get("reason") == LABELLED and not item["state"]:
            what = LABELLED, unit
        elif action == "relabel" and row["label"] != item["label"]:
            what = "with another label" if item["label"] else "labelled", unit
        elif action == "negative" and not item["state"]:
            what = "negatives, pictures without a region", unit
        elif action in OF_IDENTITIES and item["label"] != row["to"]:
            what = OF_IDENTITIES[action]
        if what:
            changed[what].add(row.get("key") or row["target"])
    return [f"{what}: {pluralize(len(keys), unit)}" for (what, unit), keys in sorted(changed.items())]


JOB = re.compile(r"(\w+(?: \w+)*) +(\d+)", re.ASCII)  # a row of the table of jobs that Snakemake prints
NO_RULES = {"total", "all"}
PATIENCE = 300  # seconds for a dry run


def ask_snakemake(command: Sequence[str]) -> list[tuple[str, int]]:
    """Return the rules that a dry run of `command` plans, each with the number of its jobs, in the order in which they run.

    Raises `TesseraError` with what Snakemake says if it cannot plan.
    """
    if not command:
        raise TesseraError("these results are of another version; run the workflow again")
    # So that no line is broken, and none has colours.
    environment = {**os.environ, "COLUMNS": "1000", "NO_COLOR": "1"}
    asked = [*command, "--dry-run", "--nolock", "--quiet", "rules"]
    try:
        run = subprocess.run(asked, capture_output=True, text=True, timeout=PATIENCE, check=False, env=environment)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TesseraError(f"the dry run of Snakemake ended: {error}") from None
    lines = [line.strip() for line in (run.stdout + run.stderr).splitlines() if line.strip()]
    if run.returncode:
        raise TesseraError(f"Snakemake cannot plan: {' '.join(lines[-3:])}")
    rows = [(match[1].replace(" ", "_"), int(match[2])) for line in lines if (match := JOB.fullmatch(line))]
    return [(rule, count) for rule, count in rows if rule not in NO_RULES]
