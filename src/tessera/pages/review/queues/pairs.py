"""Near-duplicates, each beside the picture that is kept in its place; those first that look least alike."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tessera.core.ledger import read_ledger
from tessera.pages.review.queues.pictures import Picture, read_pictures
from tessera.records.tables.annotation import Images
from tessera.records.tables.embeddings import NearDuplicates
from tessera.records.tables.footage import Duplicates
from tessera.records.tables.review import PAIRS
from tessera.records.tables.table import read_table


def find_pairs(
    duplicates: Path,
    embedded: Mapping[str, Path],
    frames: Sequence[Path],
    frame_images: Sequence[Path],
    labelled: Sequence[Path],
    selections: Mapping[str, Path],
    distance: int,
) -> Iterator[dict[str, Any]]:
    """Yield an item for each picture that a dataset left out because another looks the same, once.

    `duplicates`: `tables.Duplicates`. `embedded`: `tables.NearDuplicates` by the name of the embedding. `frames`:
    `tables.Frames`, each with the folder of its pictures in `frame_images`. `labelled`: `tables.Images` of the other pictures.
    `selections`: the ledger of each dataset that leaves out such pictures, by its name. `distance`: the largest number of bits
    in which duplicates differ. A decision is worth the more, the more the two pictures differ.
    """
    pictures = read_pictures(frames, frame_images)
    for table in labelled:
        rows = read_table(table, Images).select("key", "source", "path").iter_rows()
        pictures |= {key: Picture(source, Path(path)) for key, source, path in rows}
    lost, kept_by_decision = _verdicts(selections)
    taken: set[str] = set()
    for row in _rows(duplicates, embedded, distance):
        key = row["key"]
        if key in taken or key not in lost.keys() | kept_by_decision or not {key, row["other"]} <= pictures.keys():
            continue
        taken.add(key)
        left_out = f"; left out of {', '.join(lost[key])}" if key in lost else ""
        yield {
            "queue": PAIRS,
            "key": key,
            "source": pictures[key].source,
            "value": row["value"],
            "reason": row["reason"],
            "detail": row["detail"] + left_out,
            "state": "dropped" if key in lost else "kept",
            "picture": pictures[key].path.as_posix(),
            "beside": pictures[row["other"]].path.as_posix(),
            "beside_text": f"kept: {row['other']}",
        }


def _verdicts(selections: Mapping[str, Path]) -> tuple[dict[str, list[str]], set[str]]:
    """Return the datasets that left out each picture because another looks the same, by its key, and the keys of those kept.

    `selections`: see `find_pairs`.
    """
    lost: dict[str, list[str]] = {}
    kept_by_decision: set[str] = set()
    for dataset, path in selections.items():
        for row in read_ledger(path):
            if row["reason"].startswith("near-duplicate"):
                lost.setdefault(row["key"], []).append(dataset)
            elif row["reason"] == "kept by decision":
                kept_by_decision.add(row["key"])
    return lost, kept_by_decision


def _rows(duplicates: Path, embedded: Mapping[str, Path], distance: int) -> Iterator[dict[str, Any]]:
    for row in read_table(duplicates, Duplicates).iter_rows(named=True):
        detail = f"differs in {row['distance']} of 64 bits"
        value = row["distance"] / max(distance, 1)
        yield {
            "key": row["key"],
            "other": row["duplicate_of"],
            "reason": "similar hash",
            "detail": detail,
            "value": min(value, 1.0),
        }
    for name, path in embedded.items():
        table = read_table(path, NearDuplicates)
        least = table["similarity"].min()
        span = 1 - float(least) if isinstance(least, float) else 1.0
        for row in table.iter_rows(named=True):
            value = (1 - row["similarity"]) / span if span > 0 else 0.0
            detail = f"similarity {row['similarity']:.4f}, {row['found']}"
            known = {"key": row["key"], "other": row["duplicate_of"], "reason": f"similar by {name}", "detail": detail}
            yield {**known, "value": min(max(value, 0.0), 1.0)}
