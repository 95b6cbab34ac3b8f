"""Which faces the decisions of people on the faces of a set are on."""

from collections.abc import Mapping, Sequence

import polars as pl

from tessera.imaging.boxes import Box
from tessera.records.decisions import REGION, Decision
from tessera.records.frame_keys import meant_frames
from tessera.records.identities import find_crops


def boxes_of(faces: pl.DataFrame) -> dict[str, Box]:
    """Return the rectangle of each of `faces` (`tables.Faces`) in its frame, pixels, by the key of the face."""
    return {key: (x0, y0, x1, y1) for key, x0, y0, x1, y1 in faces.select("key", "x0", "y0", "x1", "y1").iter_rows()}


def find_faces(decisions: Sequence[Decision], boxes: Mapping[str, Box]) -> tuple[dict[str, Decision], dict[str, str]]:
    """Return the `decisions` by the keys of the faces that they are on, and why others are on none, by their own keys.

    `boxes`: those of the faces, see `boxes_of`. The review page writes both as the key of
    a decision, see `records.decisions.region_key`, because another detector numbers the faces otherwise: such a decision is on
    the face in its place, see `records.identities.find_crops`. A person may also write the key of a face alone. Of two
    decisions on one face, under different keys, the later one counts, as in a table that is a log.
    """
    keys = [decision.key for decision in decisions]
    placed, lost = find_crops(keys, boxes)
    named = meant_frames([key for key in keys if not REGION.fullmatch(key)], boxes.keys())
    lost |= {key: why.replace("such frame", "such face") for key, why in named.lost.items()}
    faces = placed | named.now
    decided: dict[str, Decision] = {}
    for decision in decisions:
        if decision.key in faces:
            earlier = decided.get(faces[decision.key])
            if earlier:
                lost[earlier.key] = f"the decision on {decision.key!r} is on the same face, and comes later"
            decided[faces[decision.key]] = decision
    return decided, dict(sorted(lost.items()))
