"""Unpack a `faceset.pak` of others: its files, and a table of what they state of the faces."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tessera.core.errors import Dropped, Failed, TesseraError
from tessera.core.files import quoted
from tessera.core.ledger import Ledger
from tessera.core.messages import format_counts, truncate
from tessera.core.progress import progress
from tessera.extras.face_sets.admit import require_consent
from tessera.extras.face_sets.jpeg_metadata import read_sole_face
from tessera.extras.face_sets.packs import unpack
from tessera.imaging.images import read_file
from tessera.records.blocklist import Blocklist, read_blocklist
from tessera.records.image_checks import check_content
from tessera.records.subjects import Subject
from tessera.records.tables.faces import UnpackedFaces
from tessera.records.tables.table import types, write_table


def unpack_faces(
    pack: Path, blocklist: Path, blocklist_distance: int, subject: Subject, *, aligned: Path, table: Path, ledger: Path
) -> None:
    """Write the files in the `pack` to the folder `aligned`, and what they state to `table` (`tables.UnpackedFaces`).

    Nothing is done to the pack, and a file has the bytes that were packed. `ledger` gets a row for each entry, whose key is its
    number from 0. A file is left out if it is no picture, see `check_image` and the `blocklist`, or if it has anything but the
    metadata of one face, see `read_sole_face`.

    Raises `TesseraError` if the pack is damaged, shows several people or no usable face, or if the consent of `subject` does
    not cover face sets today, UTC.
    """
    require_consent(subject, datetime.now(UTC).date())
    listed = read_blocklist(blocklist)
    try:
        unpacked = unpack(pack, aligned)
    except Failed as error:
        raise TesseraError(f"{quoted(pack)}: {error}") from None
    if len(people := sorted({row.file.rpartition("/")[0] for row in unpacked if row.status == "ok"})) > 1:
        raise TesseraError(
            f"{quoted(pack)} shows several people: {', '.join(truncate([each or 'one without a name' for each in people], 5))};"
            f" unpack one that shows"
            f" {subject.name!r} alone, because the others may not have agreed"
        )
    rows: list[dict[str, Any]] = []
    reasons: Counter[str] = Counter()
    with Ledger(ledger) as writer:
        for number, (file, status, reason) in enumerate(progress(unpacked, unit="faces")):
            if status != "ok":
                writer.row(str(number), status, reason, file)
                reasons[reason] += 1
                continue
            try:
                rows.append({"file": file, **_read(aligned / file, file, listed, blocklist_distance)})
            except (Dropped, Failed) as error:
                (aligned / file).unlink()
                writer.row(str(number), "failed" if isinstance(error, Failed) else "dropped", error.reason, error.detail)
                reasons[error.reason] += 1
            else:
                writer.row(str(number), "ok", "", f"{file}, {reason}" if reason else file)
    if not rows:
        raise TesseraError(f"{quoted(pack)} has no face that can be used ({format_counts(reasons) or 'it is empty'})")
    write_table(pl.DataFrame(rows, schema=types(UnpackedFaces)), UnpackedFaces, table)


def _read(path: Path, name: str, listed: Blocklist, distance: int) -> dict[str, Any]:
    """Return the row of the file `path`, called `name`. Raises `Failed` or `Dropped` if it must not be used."""
    content = read_file(path)
    sha256 = check_content(content, name, listed, distance).sha256
    face, (height, width) = read_sole_face(content)
    of_frame = {"rectangle": face.source_rect, "source_landmarks": face.source_landmarks, "matrix": face.image_to_face_mat}
    return {
        "width": width,
        "height": height,
        "face_type": face.face_type,
        "landmarks": face.landmarks.ravel().tolist(),
        # A pickle can have texts that no file can.
        "source_file": face.source_filename and face.source_filename.encode(errors="replace").decode(),
        **{name: None if value is None else np.ravel(value).astype(float).tolist() for name, value in of_frame.items()},
        "brow_expansion": face.eyebrows_expand_mod,
        "polygons": [each.points.ravel().tolist() for each in face.polygons],
        "included": [each.is_included for each in face.polygons],
        "has_mask": face.mask is not None,
        "sha256": sha256,
    }
