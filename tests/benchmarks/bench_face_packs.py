"""Packing and unpacking 20,000 faces is at least 0.70 times as fast as a copy of their folder, and gives identical bytes.

`python -m pytest -s --override-ini python_files=bench_*.py tests/benchmarks/bench_face_packs.py`

The faces have the metadata that an extraction writes, and these take as long, whatever the size of the picture. Each time is
the least of `ROUNDS`, and starts when the disk has written back what was left. Each round writes to new folders, and no file is
removed between them: where files were just removed, some file systems take up to ten times as long to make new ones. Instead,
the files of the round before are made empty. This is done right before the same work, so that each finds as much memory as it
needs: a virtual machine may have to ask for memory that was free for long.
FACES=2000 measures fewer.
"""

import os
import shutil
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from packed_faces import face, jpeg
from timing import seconds

from tessera.extras.face_sets.jpeg_metadata import write_metadata
from tessera.extras.face_sets.packs import pack, read_index, unpack

FACES = int(os.environ.get("FACES", "20000"))
LEAST = 0.70  # of the speed of a copy
ROUNDS = 5


@pytest.mark.parametrize("side", [512, 256])
def test_packing_and_unpacking_are_nearly_as_fast_as_a_copy(side: int, tmp_path: Path) -> None:
    pictures = [jpeg(seed, side, quality=30) for seed in range(50)]  # noise; with 30, as many bytes as a face with 90
    faces = tmp_path / "faces"
    faces.mkdir()
    for number in range(FACES):
        (faces / f"{number:05}_0.jpg").write_bytes(write_metadata(pictures[number % len(pictures)], face(number)))
    files = sorted(faces.iterdir())
    works: dict[str, Callable[[Path, Path], object]] = {
        "copied": lambda output, _: shutil.copytree(faces, output),
        "packed": lambda output, _: pack(files, output),
        "unpacked": lambda output, packed: unpack(packed, output),
        "indexed": lambda _, packed: read_index(packed),
    }
    times = defaultdict(list)
    for number in range(ROUNDS):
        for name, work in works.items():
            os.sync()
            _empty(tmp_path / f"{name}{number - 1}")
            packed = tmp_path / f"packed{number}"
            times[name] += seconds(partial(work, tmp_path / f"{name}{number}", packed), repeats=1)
        for file in files:
            assert (tmp_path / f"unpacked{number}" / file.name).read_bytes() == file.read_bytes()
    copying, packing, unpacking, indexing = (min(times[name]) for name in works)
    print(
        f"\n{FACES:,} faces of {side} px, {packed.stat().st_size / FACES / 1000:.0f} kB each: copied in {copying:.2f} s,"
        f" packed at {copying / packing:.2f} of this speed, unpacked at {copying / unpacking:.2f}, indexed in {indexing:.2f} s"
    )
    assert min(copying / packing, copying / unpacking) >= LEAST


def _empty(output: Path) -> None:
    for path in [output, *output.rglob("*")]:
        if path.is_file():
            os.truncate(path, 0)
