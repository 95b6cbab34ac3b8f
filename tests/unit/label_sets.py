"""Sets of labelled images, as folders and as zip files."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from strategies import LABELS

from tessera.core.ledger import read_ledger
from tessera.pipeline.labels.sets import import_labels
from tessera.records.annotation.hub import read_hub
from tessera.records.material import LabelledSet
from tessera.records.tables.annotation import Images
from tessera.records.tables.table import read_table

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
    """An imported set."""

    def __init__(self, path: Path, layout: str, min_area: int = 1, **given: Any) -> None:
        out = path.parent / f"out of {path.name}"
        out.mkdir()
        (out / "blocklist.tsv").write_text(BLOCKLIST)
        given = {"name": "s", "path": path, "content": "general", "rights": "CC0", "format": layout} | given
        tables = out / "images.parquet", out / "annotations.parquet"
        stated = ("annotations.labels", "labels:s", LABELS, min_area, out / "blocklist.tsv", 8, Path("results/pictures"))
        import_labels(LabelledSet(**given), *stated, *tables, out / "pictures", out / "ledger.jsonl")
        self.rows = {image["key"]: image for image in read_table(tables[0], Images).to_dicts()}
        self.images = {image.key: image for image in read_hub(tables[1], tables[0])}
        ledger = read_ledger(out / "ledger.jsonl")
        self.reasons = {row["key"]: row["reason"] or row["status"] for row in ledger}
        self.details = {row["key"]: row["detail"] for row in ledger}
        assert len(self.reasons) == len(ledger)
        assert {key for key, image in self.images.items()} == {row["key"] for row in ledger if row["status"] == "ok"}

    def labels(self, key: str) -> list[str]:
        return [annotation.label for annotation in self.images[key].annotations]
