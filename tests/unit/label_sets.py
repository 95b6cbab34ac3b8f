"""Sets of labelled images, as folders and as zip files."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 40, 30


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
