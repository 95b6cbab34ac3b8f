"""Labels of the picture of an item: opened in labelme, exported for Label Studio, or accepted as the page shows them."""

import json
import os
import subprocess
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from PIL import Image

from tessera.core.errors import Failed, TesseraError
from tessera.core.files import file_name, quoted
from tessera.core.messages import pluralize
from tessera.pages.review.media import inside
from tessera.records.annotation.annotation_tables import annotation_of
from tessera.records.annotation.formats.label_studio import Prediction, labelling_config, local_address, write_task
from tessera.records.annotation.formats.labelme import is_accepted, load_labelme, write_labelme
from tessera.records.annotation.label_files import LABEL_SUFFIX, is_unsaved, labelled_frames
from tessera.records.annotation.model import Annotation, ImageAnnotations
from tessera.records.annotation.predictions import outlined
from tessera.records.decisions import KEY
from tessera.records.tables.annotation import Annotations
from tessera.records.tables.table import read_rows

CONFIGURATION = "label_studio.xml"
LABELME = "environments/labelme/bin/labelme"  # below the results, as the target `labelme` installs it
SECONDS = 1.0  # within which a program that cannot start has ended
SIMPLIFY = 1.5  # pixels by which an outline may move, so that it has few vertices, as in proposals


def open_in_labelme(item: Mapping[str, Any], results: Path, labels: Path) -> str:
    """Open the picture of `item` in labelme with the regions that the page shows, and return what happened.

    The file goes to the folder `labels` with the labels of frames. One that is there already is opened as it is. Raises
    `TesseraError` if labelme is not installed or does not start, and `NotShown` if the picture is gone.
    """
    program = results / LABELME
    if not program.is_file():
        raise TesseraError(
            "labelme is not installed: run `snakemake --cores 1 -- labelme`, with the options of your other runs"
        )
    picture, path = inside(item["picture"], results), label_file(item, labels)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_labelme(_regions(item, picture), path, str(picture), proposal=True)
    with TemporaryFile() as complaints:
        process = subprocess.Popen(
            [str(program.absolute()), str(path)], stdin=subprocess.DEVNULL, stderr=complaints, start_new_session=True
        )
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            return f"labelme opens {path}. What you save there is used by the next run."
        complaints.seek(0)
        lines = complaints.read().decode(errors="replace").splitlines() or [f"exit status {process.returncode}"]
    raise TesseraError(f"labelme ended at once: {lines[0]}")


def export_to_label_studio(item: Mapping[str, Any], results: Path, folder: Path, classes: Sequence[str]) -> str:
    """Write a task of Label Studio with the regions that the page shows to `folder`, and return what happened.

    The labelling configuration for `classes` lies beside it. Raises `NotShown` if the picture is gone.
    """
    picture = inside(item["picture"], results)
    task, _ = write_task(_regions(item, picture), local_address(Path(item["picture"])), Prediction("review", {}))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{file_name(item['key'])}{LABEL_SUFFIX}"
    path.write_text(json.dumps([task], indent=1) + "\n", encoding="utf-8")
    (folder / CONFIGURATION).write_text(labelling_config(classes, {}), encoding="utf-8")
    return f"{path} is a task to import into Label Studio; {CONFIGURATION} beside it is the labelling configuration."


def accept(item: Mapping[str, Any], numbers: Collection[int], results: Path, labels: Path) -> None:
    """Label the frame of `item` with those of its regions that have these `numbers`, and return when the disk has the label.

    The label is a file of labelme in the folder `labels`. One that says the same already is left. Raises `TesseraError` if none
    of the regions is chosen, if the frame has another label, or if the regions are no longer those that the page shows;
    `NotShown` if the picture is gone; and `OSError` if the file cannot be written.
    """
    if not numbers:
        raise TesseraError("no region is marked; mark those that are right, or say that the frame shows none")
    path, picture = label_file(item, labels), inside(item["picture"], results)
    regions = _regions(item, picture, numbers)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{os.getpid()}.{threading.get_ident()}.partial.{path.name}")
    try:
        write_labelme(regions, unfinished, str(picture), proposal=True, accepted=True)
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        if path.exists() and (is_unsaved(path) or path.read_bytes() == unfinished.read_bytes()):
            unfinished.replace(path)
        elif item["key"] in labelled_frames(labels, item["source"]):
            raise TesseraError(f"{item['key']} has a label in {quoted(labels)}; open it in labelme to correct it")
        else:
            # Unlike a renamed file, a link replaces no label that somebody else makes at this moment.
            path.hardlink_to(unfinished)
    except FileExistsError:
        raise TesseraError(f"{quoted(path)} was made meanwhile; open it in labelme to correct it") from None
    finally:
        unfinished.unlink(missing_ok=True)


def take_back(item: Mapping[str, Any], labels: Path) -> None:
    """Delete the label that `accept` gave the frame of `item`, unless somebody changed it since."""
    path = label_file(item, labels)
    try:
        if path.is_file() and is_accepted(load_labelme(path)):
            path.unlink()
    except Failed:
        return  # somebody damaged it


def outlines(item: Mapping[str, Any], results: Path) -> dict[str, Any]:
    """Return what is drawn on the picture of `item`, in fractions of its sides: rings of points for each of its `regions`.

    These are the regions that `accept` saves. `label`: the same of the regions that its label has; None if it has none.
    Raises `NotShown` if the picture is gone, and `TesseraError` if the regions are no longer those that the page shows.
    """
    picture = inside(item["picture"], results)
    shown = _regions(item, picture)
    size = shown.width, shown.height
    label = None
    if item["labelled"]:
        rows = read_rows(inside(item["labelled"], results), Annotations, item["key"]).iter_rows(named=True)
        label = [_rings(_labelled(row, *size), *size) for row in rows]
    return {"regions": [_rings(each, *size) for each in shown.annotations], "label": label}


def _labelled(row: dict[str, Any], width: int, height: int) -> Annotation:
    return annotation_of(row) if row["polygons"] is not None else outlined(row, width, height, SIMPLIFY)


def _rings(region: Annotation, width: int, height: int) -> list[list[tuple[float, float]]]:
    """Return the outer and the inner rings of a region; those of its box if it is only a box."""
    x0, y0, x1, y1 = region.box
    rings = [ring for part in region.polygons or () for ring in (part.outer, *part.holes)]
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    outlines = [ring.tolist() for ring in rings] or [corners]
    return [[(round(x / width, 5), round(y / height, 5)) for x, y in ring] for ring in outlines]


def label_file(item: Mapping[str, Any], labels: Path) -> Path:
    """Return the path of the label of the frame of `item`, a frame or a region in it, in the folder `labels`.

    Raises `TesseraError` if its key is no such key.
    """
    if not KEY.fullmatch(item["key"]):
        raise TesseraError(f"{item['key']!r} is no key of a frame")
    # The key of a region begins with that of its frame.
    return labels / file_name(item["source"]) / f"{item['key'].partition('+')[0]}{LABEL_SUFFIX}"


def _regions(item: Mapping[str, Any], picture: Path, numbers: Collection[int] | None = None) -> ImageAnnotations:
    """Return the regions of `item` with these `numbers`, or all: outlines where there are some, else boxes.

    Raises `TesseraError` if there is no such number, or if the regions are no longer those that the page shows.
    """
    with Image.open(picture) as image:
        width, height = image.size
    boxes = [(x0 * width, y0 * height, x1 * width, y1 * height) for x0, y0, x1, y1 in item["boxes"]]
    if any(number >= len(boxes) for number in numbers or ()):
        raise TesseraError(f"{item['key']} has {pluralize(len(boxes), 'regions')}")
    regions = [Annotation(text.rpartition(" ")[0], None, None, box) for box, text in zip(boxes, item["box_texts"], strict=True)]
    if item["outlines"]:
        # In the order of the boxes, see `queues.frames`.
        rows = read_rows(Path(item["outlines"]), Annotations, item["key"]).sort("score", "number", descending=[True, False])
        boxes_of_rows = rows.select("x0", "y0", "x1", "y1").to_numpy().reshape(-1, 4)
        if boxes_of_rows.shape != (len(boxes), 4) or not np.allclose(boxes_of_rows, np.array(boxes).reshape(-1, 4), atol=0.01):
            raise TesseraError("the workflow has found other regions since; gather what is to be decided again")
        regions = [outlined(row, width, height, SIMPLIFY) for row in rows.iter_rows(named=True)]
    chosen = [region for number, region in enumerate(regions) if numbers is None or number in numbers]
    return ImageAnnotations(item["key"], width, height, tuple(chosen))
