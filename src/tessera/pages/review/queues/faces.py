"""Faces of face sets, with their places in each sort; those first that are in the set."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tessera.core.ledger import read_ledger
from tessera.records.decisions import region_key
from tessera.records.tables.faces import FaceDistances, FaceOrders, Faces
from tessera.records.tables.review import FACES
from tessera.records.tables.table import read_table

DISTANCE = "distance_from_the_person"  # a sort beside those in `FaceOrders`


class FaceSetFiles(NamedTuple):
    """The files of a face set."""

    tables: Sequence[Path]  # `tables.Faces`, one per shard
    folders: Sequence[Path]  # the folder of pictures of each
    orders: Path  # `tables.FaceOrders`
    selection: Path  # ledger that says which faces the set has
    distances: Path | None = None  # `tables.FaceDistances`, if a model tells people apart


def find_faces(sets: Mapping[str, FaceSetFiles]) -> Iterator[dict[str, Any]]:
    """Yield an item for each face of each of `sets`, by the name of the set, whether it is selected or not.

    A decision on a face that is in the set is worth more than one on a face that is left out. No picture is read.
    """
    for name, files in sets.items():
        places = _places(files)
        verdicts = {row["key"]: row for row in read_ledger(files.selection)}
        for table, folder in zip(files.tables, files.folders, strict=True):
            for face in read_table(table, Faces).sort("key").iter_rows(named=True):
                verdict = verdicts.get(face["key"], {"status": "", "reason": "", "detail": ""})
                yield {
                    "queue": FACES,
                    "key": face["key"],
                    "target": region_key(face["key"], (face["x0"], face["y0"], face["x1"], face["y1"])),
                    "classifier": name,
                    "source": face["source"],
                    "value": 0.0 if verdict["status"] == "dropped" else 1.0,
                    "reason": verdict["reason"] or "selected",
                    "detail": verdict["detail"],
                    "state": {"ok": "kept", "dropped": "dropped"}.get(verdict["status"], ""),
                    "picture": (folder / face["file"]).as_posix(),
                    **places.get(face["key"], {}),
                }


def _places(files: FaceSetFiles) -> dict[str, dict[str, list[Any]]]:
    """Return the columns `sorts`, `ranks` and `sort_texts` of an item for each face, by its key.

    Where distances from the person are known, they are one more sort, in which the farthest face comes first.
    """
    rows = list(read_table(files.orders, FaceOrders).select("sort", "key", "value", "rank", "reason").iter_rows())
    if files.distances:
        far = read_table(files.distances, FaceDistances).sort("distance", "key", descending=[True, False])
        rows += [(DISTANCE, key, distance, rank, "") for rank, (key, distance) in enumerate(far.iter_rows())]
    places: dict[str, dict[str, list[Any]]] = {}
    for sort, key, value, rank, reason in rows:
        of_face = places.setdefault(key, {"sorts": [], "ranks": [], "sort_texts": []})
        measured = "" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
        of_face["sorts"].append(sort)
        of_face["ranks"].append(rank)
        of_face["sort_texts"].append("; ".join(filter(None, [measured, "" if rank is None else f"rank {rank:,}", reason])))
    return places
