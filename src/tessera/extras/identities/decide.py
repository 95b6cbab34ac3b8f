"""Apply the decisions of people about identities."""

from collections.abc import Collection, Sequence
from pathlib import Path

import polars as pl

from tessera.core.errors import Dropped
from tessera.core.ledger import Ledger
from tessera.core.log import tell
from tessera.core.messages import pluralize, truncate
from tessera.imaging.boxes import Box
from tessera.records.frame_keys import for_frames
from tessera.records.identities import IdentityDecision, cluster_name, final_names, find_crops
from tessera.records.tables.crops import Crops
from tessera.records.tables.identities import Identities
from tessera.records.tables.table import read_table, read_tables, write_table

SHOWN = 10  # lost decisions that are listed


def decide_identities(
    identities: Path, crops: Sequence[Path], decisions: Sequence[IdentityDecision], *, table: Path, ledger: Path
) -> None:
    """Write `identities` (`tables.Identities`) with `decisions` applied to `table`.

    `move` and a rejected crop concern one crop, and go before what is decided about its cluster. Everything else concerns all
    crops of a cluster or an identity. The name of a cluster that is gone stands for the cluster that its medoid is in now,
    unless another decision names that one. A crop is also known by its former name, see `for_frames`, and by where it was, see
    `find_crops`, for which `crops` (`tables.Crops`) are needed. Of several decisions on one crop, the last counts.
    `ledger` gets one row per decision; one that matches nothing is dropped.
    """
    rows = {row["key"]: row for row in read_table(identities, Identities).iter_rows(named=True)}
    present = {row["identity"] for row in rows.values()} - {""}
    medoids = {cluster_name(key): row["cluster"] for key, row in rows.items() if row["cluster"]}
    placed, nowhere = find_crops((each.target for each in decisions), boxes_of(crops, rows))
    stated = [each.target for each in decisions]
    decisions = [each.model_copy(update={"target": placed.get(each.target, each.target)}) for each in decisions]
    targets = {each.target for each in decisions}
    renamed = {former: key for key, former in for_frames({target: target for target in targets}, rows).items()}
    decisions = [each.model_copy(update={"target": renamed.get(each.target, each.target)}) for each in decisions]
    targets = {each.target for each in decisions}
    made = {each.to for each in decisions if each.action == "rename" or (each.action == "move" and each.target in rows)}
    lost: dict[str, str] = dict(nowhere)
    followed: dict[str, str] = {}  # what was decided about a former name of a cluster, by its name now
    for each in decisions:
        target = each.target
        if target in rows or target in present or target in nowhere:
            continue
        now = medoids.get(target, "")
        if now and now not in targets and now not in followed and each.action != "move":
            followed[now] = target
        elif each.action == "move" or target not in made:
            lost[target] = f"its cluster is now {now}, which another decision names" if now else "nothing has this name now"
    for each in decisions:
        if each.target in nowhere:
            continue
        if each.action == "move" and each.target not in rows:
            lost[each.target] = "only crops can be moved, and none has this key now"
        elif each.action in {"rename", "merge"} and each.target in rows:
            lost[each.target] = "this is a crop; use `move`"
        elif each.action == "merge" and each.to not in present | made | targets | set(medoids):
            lost[each.target] = f"there is no {each.to!r} to join"
    final = final_names(each for each in decisions if each.target not in lost)
    moved = {each.target: each.to for each in decisions if each.action in {"move", "reject"} and each.target in rows}

    def named(name: str) -> str:
        """Return what people call the identity `name`."""
        decided = name if name in final else followed.get(name, "")
        return final.get(decided, name)

    for key, row in rows.items():
        name = named(moved[key]) if key in moved and key not in lost else named(row["identity"]) if row["identity"] else ""
        if name != row["identity"] or (key in moved and key not in lost):
            appearance = row["appearance"] if name and key not in moved else ""
            row |= {"identity": name, "appearance": appearance, "origin": "decision", "certainty": 1.0}
    with Ledger(ledger) as entries:
        for target, each in zip(stated, decisions, strict=True):
            with entries.item(target):
                if each.target in lost:
                    raise Dropped("matches nothing", f"{each.action}: {lost[each.target]}; correct it or remove it")
    if lost:
        listed = "; ".join(truncate([f"{target}: {why}" for target, why in lost.items()], SHOWN))
        tell(f"warning: {pluralize(len(lost), 'decisions')} about identities match nothing: {listed}")
    write_table(pl.DataFrame(list(rows.values()), schema=read_table(identities, Identities).schema), Identities, table)


def boxes_of(crops: Sequence[Path], keys: Collection[str]) -> dict[str, Box]:
    """Return the boxes of those of `crops` (`tables.Crops`) that have these `keys`, in pixels of their frames, by the key."""
    if not crops:
        return {}
    chosen = read_tables(list(crops), Crops).filter(pl.col("key").is_in(list(keys)))
    return {key: (x0, y0, x1, y1) for key, x0, y0, x1, y1 in chosen.select("key", "x0", "y0", "x1", "y1").iter_rows()}
