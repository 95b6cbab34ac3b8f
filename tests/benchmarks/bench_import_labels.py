"""The import of a large YOLO set takes little longer than reading its pictures and labels.

`python -m pytest -s --override-ini python_files=bench_*.py tests/benchmarks/bench_import_labels.py`
"""

import io
import time
from pathlib import Path

import numpy as np
import pytest
from label_sets import Imported
from PIL import Image

IMAGES = 20_000
SIDES = 320, 240
MOST = 4.0  # times the bare reading: each picture also gets a sha256 and a perceptual hash, and a row


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of pictures that look like no other, with one to four boxes each."""
    draw = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("large") / "set"
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    (folder / "data.yaml").write_text("names: {0: nsfw, 1: person, 2: dog}\n")
    for number in range(IMAGES):
        coarse = Image.fromarray(draw.integers(0, 256, (12, 16, 3), np.uint8))
        coarse.resize(SIDES).save(folder / "images" / f"{number:06d}.jpg", quality=80)
        boxes = [
            f"{draw.integers(3)} {x:.6f} {y:.6f} 0.2 0.2" for x, y in draw.uniform(0.2, 0.8, (int(draw.integers(1, 5)), 2))
        ]
        (folder / "labels" / f"{number:06d}.txt").write_text("\n".join(boxes))
    return folder


def read_barely(folder: Path) -> float:
    """Return the seconds that it takes to read and decode the pictures of a set, and the numbers of its labels."""
    start = time.perf_counter()
    for path in sorted((folder / "images").iterdir()):
        with Image.open(io.BytesIO(path.read_bytes())) as picture:
            np.asarray(picture.convert("RGB"))
        for line in (folder / "labels" / f"{path.stem}.txt").read_text().splitlines():
            np.array(line.split(), dtype=float)
    return time.perf_counter() - start


def test_the_import_of_many_images_takes_little_longer_than_reading_them(labelled: Path) -> None:
    bare = read_barely(labelled)
    start = time.perf_counter()
    read = Imported(labelled, "yolo", classes={"person": None, "dog": None})
    seconds = time.perf_counter() - start
    print(f"\n{IMAGES:,} images of {SIDES}: imported in {seconds:.1f} s, read in {bare:.1f} s: {seconds / bare:.2f} times")
    assert set(read.status.values()) == {"ok"} and len(read.status) == IMAGES
    assert sum(row[4] for row in read.counts) >= IMAGES
    assert seconds < MOST * bare
