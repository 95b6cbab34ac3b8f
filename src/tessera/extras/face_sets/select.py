"""Select the faces of a set: those that are whole, sharp and well lit, and what people decided."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tessera.core.ledger import Ledger
from tessera.core.log import tell
from tessera.extras.face_sets.scores import commonness
from tessera.extras.face_sets.settings import FaceFilterSettings
from tessera.extras.face_sets.sort import faces_in
from tessera.extras.face_sets.sorts import by_best
from tessera.records.decisions import Decision, write_matches
from tessera.records.face_decisions import boxes_of, find_faces
from tessera.records.tables.faces import FaceDistances, FaceMasks, FaceOrders, Faces, SelectedFaces
from tessera.records.tables.table import read_table, read_tables, types, write_table

Verdict = tuple[str, str]  # why a face is left out: the reason and the detail of its row in the ledger
REJECTED, ACCEPTED = "rejected by a person", "accepted by a person"


def select_faces(
    tables: Sequence[Path],
    folders: Sequence[Path],
    orders: Path,
    distances: Path | None,
    masks: Sequence[Path],
    settings: FaceFilterSettings,
    decisions: Sequence[Decision],
    *,
    selected: Path,
    ledger: Path,
    matched: Path,
) -> None:
    """Write the faces that `settings` select to `selected` (`tables.SelectedFaces`), and a row for each face to `ledger`.

    `tables`: `tables.Faces`, with the files in `folders`, one of each per shard. `orders`: `tables.FaceOrders`. `distances`:
    `tables.FaceDistances`; None if nothing tells other people apart. `masks`: `tables.FaceMasks`, by which occlusion is
    measured; none if it is not. `decisions`: of people, on faces of this set. They
    override every filter; faces of sources that are refused are not in `tables`. `matched` gets a row for each, see
    `records.decisions.write_matches`.
    """
    found = read_tables(list(tables), Faces)
    decided, lost = find_faces(decisions, boxes_of(found))
    rejected = {key: (REJECTED, str(each)) for key, each in decided.items() if each.decision == "drop"}
    far = read_table(distances, FaceDistances) if distances else pl.DataFrame(schema=types(FaceDistances))
    # A rejected face is not there for the others: of two in a frame, one is then alone.
    judged = found.filter(~pl.col("key").is_in(list(rejected)))
    rows = _measured(judged, read_table(orders, FaceOrders), far, read_tables(list(masks), FaceMasks))
    verdicts = {row["key"]: _verdict(row, settings) for row in rows.iter_rows(named=True)} | rejected
    if settings.best is not None:
        faces = [face for table, folder in zip(tables, folders, strict=True) for face in faces_in(table, folder)]
        places = by_best(lambda face: face.sharpness, settings.best)(face for face in faces if verdicts[face.name] is None)
        verdicts |= {key: ("not among the best", place.reason) for key, place in places.items() if place.reason}
    accepted = {key: each for key, each in decided.items() if each.decision == "keep"}
    with Ledger(ledger) as writer:
        for key, verdict in sorted(verdicts.items()):
            if key in accepted:
                otherwise = f"otherwise {': '.join(verdict)}" if verdict else ""
                writer.row(key, "ok", ACCEPTED, "; ".join(filter(None, [str(accepted[key]), otherwise])))
            else:
                writer.row(key, "dropped" if verdict else "ok", *(verdict or ()))
    for key, why in lost.items():
        tell(f"decision on {key!r} counts nowhere: {why}")
    write_matches(matched, {each.key: each for each in decisions}, {each.key: key for key, each in decided.items()}, lost)
    chosen = [key for key, verdict in verdicts.items() if verdict is None or key in accepted]
    table = rows.filter(pl.col("key").is_in(chosen)).with_columns(split=pl.lit(""))
    write_table(table.select(list(types(SelectedFaces))), SelectedFaces, selected)


def _measured(faces: pl.DataFrame, orders: pl.DataFrame, distances: pl.DataFrame, masks: pl.DataFrame) -> pl.DataFrame:
    """Return `faces` (`tables.Faces`), sorted by key, with what is known of them in the set.

    `sharpness`: the fraction of the edges that look sharp, null if it could not be measured. `common`: how many faces look in
    the direction of the face. `in_frame`: how many faces its frame shows. `distance`: from the person, `occlusion`: what its
    mask leaves out of it; null if unknown.
    """
    sharpness = orders.filter(pl.col("sort") == "blur").select("key", sharpness="value")
    rows = faces
    for known in (sharpness, distances, masks.select("key", "occlusion")):
        rows = rows.join(known, on="key", how="left")
    rows = rows.sort("key")
    yaw, pitch = (rows[angle].to_numpy().astype(np.float64) for angle in ("yaw", "pitch"))
    return rows.with_columns(pl.Series("common", commonness(yaw, pitch)), in_frame=pl.len().over("frame"))


def _verdict(row: Mapping[str, Any], settings: FaceFilterSettings) -> Verdict | None:
    """Return why `settings` leave out the face of `row`, see `_measured`: the first rule that does; None if none does."""
    min_sharpness = None if row["common"] <= settings.rare else settings.min_sharpness
    max_misfit = None if row["placed_by"] == "hand" else settings.max_misfit
    for reason, name, least, most in (
        ("cut off", "cut_off", None, settings.max_cut_off),
        ("landmarks misplaced", "misfit", None, max_misfit),
        ("occluded", "occlusion", None, settings.max_occlusion),
        ("too dark", "dark", None, settings.max_dark),
        ("too bright", "bright", None, settings.max_bright),
        ("low contrast", "contrast", settings.min_contrast, None),
        ("blurred", "sharpness", min_sharpness, None),
        ("another person", "distance", None, settings.max_distance),
        ("several faces in the frame", "in_frame", None, 1 if settings.alone else None),
    ):
        value = row[name]
        if value is not None and least is not None and value < least:
            return reason, f"{value:.4g} < {least:g}"
        if value is not None and most is not None and value > most:
            return reason, f"{value:.4g} > {most:g}"
    return None
