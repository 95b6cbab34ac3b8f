"""Open an item in labelme, or export it as a task of Label Studio."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from tessera.core.errors import TesseraError
from tessera.core.files import file_name
from tessera.pipeline.review.media import inside
from tessera.records.annotation.formats.label_studio import Prediction, local_address, write_task
from tessera.records.annotation.formats.labelme import write_labelme
from tessera.records.annotation.label_files import LABEL_SUFFIX
from tessera.records.annotation.model import Annotation, ImageAnnotations

LABELME = "environments/labelme/bin/labelme"  # below the results, as the target `labelme` installs it


def open_in_labelme(item: Mapping[str, Any], results: Path, labels: Path | None) -> str:
    """Open the picture of `item` in labelme with the regions that the page shows, and return what happened.

    The file goes to the folder `labels` with the labels of frames, None if the settings name none. One that is there already is
    opened as it is. Raises `TesseraError` if labelme is not installed or no folder is set, and `NotShown` if the picture is
    gone.
    """
    program = results / LABELME
    if not program.is_file():
        raise TesseraError("labelme is not installed: run `snakemake --cores 1 -- labelme`")
    if labels is None:
        raise TesseraError("`annotations.frame_labels` names no folder for the labels; set it, and run the workflow again")
    picture = inside(item["picture"], results)
    path = labels / file_name(item["source"]) / f"{item['key']}{LABEL_SUFFIX}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_labelme(_regions(item, picture), path, str(picture), proposal=True)
    subprocess.Popen([str(program.absolute()), str(path)], stdin=subprocess.DEVNULL, start_new_session=True)
    return f"labelme opens {path}. What you save there is used by the next run."


def export_to_label_studio(item: Mapping[str, Any], results: Path, folder: Path) -> str:
    """Write a task of Label Studio with the regions that the page shows to `folder`, and return what happened.

    Raises `NotShown` if the picture is gone.
    """
    picture = inside(item["picture"], results)
    task, _ = write_task(_regions(item, picture), local_address(Path(item["picture"])), Prediction("review", {}))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{file_name(item['key'])}{LABEL_SUFFIX}"
    path.write_text(json.dumps([task], indent=1) + "\n", encoding="utf-8")
    return f"{path} is a task to import into Label Studio."


def _regions(item: Mapping[str, Any], picture: Path) -> ImageAnnotations:
    with Image.open(picture) as image:
        width, height = image.size
    boxes = [
        Annotation(text.rpartition(" ")[0], None, None, (x0 * width, y0 * height, x1 * width, y1 * height))
        for (x0, y0, x1, y1), text in zip(item["boxes"], item["box_texts"], strict=True)
    ]
    return ImageAnnotations(item["key"], width, height, tuple(boxes))
