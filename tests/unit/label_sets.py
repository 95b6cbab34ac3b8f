"""Sets of labelled images, as folders and as zip files."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from strategies import LABELS

from tessera.core.ledger import read_ledger
from tessera.records.annotation.annotation_tables import read_annotations
from tessera.records.label_sets import LabelledSet
from tessera.records.tables.annotation import Images
from tessera.records.tables.labels import LabelCounts
from tessera.records.tables.table import read_table
from tessera.stages.labels.sets import import_labels

WIDTH, HEIGHT = 40, 30
BLOCKLIST = "sha256\tphash\treason\n"


def picture(seed: int, width: int = WIDTH, height: int = HEIGHT, kind: str = "png") -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))
    image.save(file, format={"jpg": "jpeg"}.get(kind, kind))
    return file.getvalue()


def write_folder(folder: Path, files: Mapping[str, bytes | str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def write_zip(path: Path, files: Mapping[str, bytes | str], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return path


class Imported:
    """A set of labelled images that was imported: the rows of its ledger, its images by key, and the counts of its labels."""

    def __init__(
        self,
        path: Path,
        layout: str,
        dataset: Sequence[str] = ("nsfw",),
        min_area: int = 1,
        out: Path | None = None,
        **stated: Any,
    ) -> None:
        out = out or path.parent / f"out of {path.name}"
        out.mkdir()
        (out / "blocklist.tsv").write_text(BLOCKLIST)
        given = {"name": "s", "path": path, "content": "general", "rights": "CC0", "format": layout} | stated
        tables = {name: out / f"{name}.parquet" for name in ("images", "annotations", "counts")}
        import_labels(
            label_set=LabelledSet(**given),
            setting="annotations.labels",
            source="labels:s",
            classes=list(dataset),
            min_area=min_area,
            blocklist=out / "blocklist.tsv",
            blocklist_distance=8,
            final_folder=Path("results/pictures"),
            pictures=out / "pictures",
            ledger=out / "ledger.jsonl",
            **tables,
        )
        rows = read_ledger(out / "ledger.jsonl")
        self.reasons = {row["key"]: row["reason"] or row["status"] for row in rows}
        self.details = {row["key"]: row["detail"] for row in rows}
        self.status = {row["key"]: row["status"] for row in rows}
        assert len(self.status) == len(rows), "a key has two rows"
        images = list(read_annotations(tables["annotations"], tables["images"]))
        assert {image.key for image in images} == {key for key, status in self.status.items() if status == "ok"}
        self.labels = {image.key: [annotation.label for annotation in image.annotations] for image in images}
        self.boxes = {image.key: [annotation.box for annotation in image.annotations] for image in images}
        self.images = {image.key: image for image in images}
        self.rows = {row["key"]: row for row in read_table(tables["images"], Images).to_dicts()}
        self.splits = {key: row["split"] for key, row in self.rows.items()}
        counts = read_table(tables["counts"], LabelCounts)
        # number, name, class here, objects, images, images that are left out
        self.counts = counts.filter(kind="label").drop("set", "kind").rows()
        self.negatives = dict(counts.filter(kind="negative").select("name", "images").iter_rows())
        self.left_out = dict(counts.filter(kind="left out").select("name", "images").iter_rows())


ImportedForTwo = partial(Imported, dataset=LABELS)  # for a dataset of two classes
