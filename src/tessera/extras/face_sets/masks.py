"""Mask the faces of a set: by hand, with a model, or by the hull of the landmarks; and measure what of a face is covered."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from tessera.core.errors import Dropped, Failed
from tessera.core.files import file_name, quoted
from tessera.core.log import tell
from tessera.core.messages import pluralize, truncate
from tessera.core.progress import progress
from tessera.core.provenance import digest
from tessera.core.store import Store
from tessera.extras.face_sets.admit import require_consent
from tessera.extras.face_sets.alignment import transform
from tessera.extras.face_sets.drawn import Region, drawn_masks, read_regions
from tessera.extras.face_sets.hull import face_hull, hull_mask
from tessera.imaging.images import read_image, write_image
from tessera.learning.mask_settings import MaskModelSettings
from tessera.learning.masks import MaskModel
from tessera.records.annotation.label_files import naming
from tessera.records.frame_keys import meant_frames
from tessera.records.subjects import Subject
from tessera.records.tables.faces import FaceMasks, Faces
from tessera.records.tables.table import read_table, types, write_table

REASONS = "reasons.json"  # file in the store, beside the masks of a source: why a face has none, by its key
EMPTY = "mask empty"
SHOWN = 10  # of what is listed in a message


class Mask(NamedTuple):
    """A mask, uint8 (S, S), 255 in the face, and its origin; None if there is none. `reason`: why it is of no better origin."""

    mask: np.ndarray | None
    origin: str | None
    reason: str


def mask_faces(
    faces: Path,
    images: Path,
    subject: Subject,
    weights: Path | None,
    model: MaskModelSettings,
    by_hand: Path | None,
    cache: Path,
    *,
    code: str,
    masks: Path,
    table: Path,
) -> None:
    """Write the masks of `faces` (`tables.Faces`) to the folder `masks`, and a row for each to `table` (`tables.FaceMasks`).

    `images`: the files of the faces. `subject`: the person. `weights`: the file of the `model`; None if none is declared.
    `by_hand`: the folder with masks that a person drew, see `drawn_masks`; None if there is none. A mask is a PNG of the size
    of the square: 255 in the face, and 0 elsewhere. That of a person goes before that of the model, and this before the hull
    of the 68 landmarks.

    What the model outlines in the faces of a source is stored in the folder `cache` of a `Store`, under a digest of everything
    that it depends on, including `code`. Raises `TesseraError` if the model cannot be used, or if the consent of `subject` does
    not cover face sets today, UTC.
    """
    require_consent(subject, datetime.now(UTC).date())
    rows = read_table(faces, Faces).sort("key")
    outlined, reasons = _outline_all(rows, images, weights, model, cache, code) if weights else ({}, {})
    drawn = _drawn(by_hand, rows) if by_hand else {}
    masks.mkdir()
    written = []
    for row in progress(rows.to_dicts(), unit="faces"):
        key, size = row["key"], row["size"]
        hull, unknown = None, ""
        try:
            points = transform(np.reshape(row["landmarks"], (-1, 2)), np.reshape(row["matrix"], (2, 3)))
            hull = hull_mask(face_hull(points, size, size), size, size)
        except Dropped as error:
            unknown = str(error)
        seen = read_image(outlined[key])[..., 0] if key in outlined else None
        best = (
            Mask(seen, "model", "")
            if seen is not None
            else Mask(hull, None if hull is None else "hull", "; ".join(filter(None, (reasons.get(key), unknown))))
        )
        best = _by_hand(drawn.get(key, []), row, images / row["file"], best)
        file = None
        if best.mask is not None:
            file = f"{key}.png"
            write_image(masks / file, best.mask)
        written.append((key, file, best.origin, _occlusion(hull, best), best.reason))
    write_table(pl.DataFrame(written, schema=types(FaceMasks), orient="row"), FaceMasks, table)


def _occlusion(hull: np.ndarray | None, mask: Mask) -> float | None:
    """Return the fraction of the `hull` that the `mask` leaves out; None if it is not known, or the mask is the hull."""
    if hull is None or mask.mask is None or mask.origin == "hull" or not hull.any():
        return None
    return round(1 - float(np.count_nonzero(hull & mask.mask) / np.count_nonzero(hull)), 4)


def _outline_all(
    rows: pl.DataFrame, images: Path, weights: Path, settings: MaskModelSettings, cache: Path, code: str
) -> tuple[dict[str, Path], dict[str, str]]:
    """Return the files with what the model outlines, by the keys of the faces, and why others have none."""
    assert settings.weights is not None, "there are weights"
    store = Store(cache, "sources")
    own = settings.model_dump(mode="json", exclude={"weights", "batch"})
    found: dict[str, Path] = {}
    reasons: dict[str, str] = {}
    used, loaded = [], None
    for _, of_source in rows.group_by("source", maintain_order=True):
        known = of_source.select("key", "file", "sha256").rows()
        name = digest([settings.weights.sha256, own, code, known])
        if not store.holds(name):
            loaded = loaded or MaskModel(weights, settings.weights.sha256, settings)
            with store.make(name) as folder:
                squares = (read_image(images / file) for _, file, _ in progress(known, unit="faces"))
                why = {}
                for (key, _, _), mask in zip(known, loaded.outline(squares), strict=True):
                    if mask is not None and mask.any():
                        write_image(folder / f"{key}.png", mask)
                    else:
                        why[key] = f"{EMPTY}: the model finds no face" if mask is not None else "mask not finite: of the model"
                (folder / REASONS).write_text(json.dumps(why), encoding="utf-8")
        item = store.item(name)
        of_item = json.loads((item / REASONS).read_text(encoding="utf-8"))
        reasons |= of_item
        found |= {key: item / f"{key}.png" for key, _, _ in known if key not in of_item}
        used.append(name)
    store.keep(used)
    return found, reasons


def _drawn(folder: Path, rows: pl.DataFrame) -> dict[str, list[Path]]:
    """Return the files with masks by hand for the faces in `rows`, by their keys. A message names those of no face."""
    files = drawn_masks(folder)
    stems: dict[str, list[Path]] = defaultdict(list)
    for source in sorted(set(rows["source"])):
        for file in files.get(file_name(source), []):
            stems[file.stem].append(file)
    meant = meant_frames(stems, rows["key"].to_list())
    found: dict[str, list[Path]] = defaultdict(list)
    for stem, key in meant.now.items():
        found[key] += stems[stem]
    if lost := [quoted(file) for stem in sorted(meant.lost) for file in stems[stem]]:
        message = f"{pluralize(len(lost), 'drawn masks')} left out, of faces that are not there:"
        tell("\n  ".join([message, *truncate(lost, SHOWN)]))
    return found


def _by_hand(files: Sequence[Path], row: Mapping[str, Any], image: Path, below: Mask) -> Mask:
    """Return the mask that a person drew in `files` of the face of `row`, and `below` if there is none that can be used.

    `image`: the file of the face.
    """
    try:
        # A copy of the square, which labelme shows, draws nothing.
        drawn = [(file, regions) for file in files if (regions := read_regions(file, row, image))]
        if len(drawn) > 1:
            first, second = (quoted(file) for file, _ in drawn[:2])
            raise Failed("mask drawn twice", f"{first} and {second} are for {row['key']!r}; keep one")
        for file, regions in drawn:
            with naming(file):
                return Mask(_merged(regions, below.mask, row["size"]), "hand", "")
        return below
    except Dropped as error:
        return below._replace(reason="; ".join(filter(None, (str(error), below.reason))))


def _merged(regions: Iterable[Region], below: np.ndarray | None, size: int) -> np.ndarray:
    """Return the mask that `regions` make together. If none is included, they are taken out of the mask `below` them."""
    regions = list(regions)
    if any(region.is_included for region in regions):
        mask = np.zeros((size, size), np.uint8)
    elif below is not None:
        mask = below.copy()
    else:
        raise Failed(EMPTY, "it only excludes, and there is no other mask; draw what to include")
    for region in regions:
        mask[region.mask > 0] = 255 if region.is_included else 0
    if not mask.any():
        raise Failed(EMPTY, "all that it includes is excluded; correct its shapes")
    return mask
