"""Packing and unpacking 20,000 faces is at least 0.70 times as fast as a copy of their folder, and gives identical bytes.

`python -m pytest -s --override-ini python_files=bench_*.py tests/benchmarks/bench_face_packs.py`

Half of the time for small faces goes into their metadata, which takes as long, whatever the size of the picture. Each time is
the median of `ROUNDS`, because the disk writes back what an earlier round left. FACES=2000 measures fewer.
"""

import os
import shutil
from pathlib import Path
from statistics import median

import pytest
from packed_faces import face, jpeg
from timing import seconds

from tessera.extras.face_sets.jpeg_metadata import write_metadata
from tessera.extras.face_sets.packs import pack, read_index, unpack

FACES = int(os.environ.get("FACES", "20000"))
LEAST = 0.70  # of the speed of a copy
ROUNDS = 3


@pytest.mark.parametrize("side", [512, 256])
def test_packing_and_unpacking_are_nearly_as_fast_as_a_copy(side: int, tmp_path: Path) -> None:
    pictures = [jpeg(seed, side, quality=30) for seed in range(50)]  # noise; with 30, as many bytes as a face with 90
    faces, packed, copied, unpacked = (tmp_path / name for name in ("faces", "faceset.pak", "copied", "unpacked"))
    faces.mkdir()
    for number in range(FACES):
        (faces / f"{number:05}_0.jpg").write_bytes(write_metadata(pictures[number % len(pictures)], face(number)))
    files = sorted(faces.iterdir())
    rounds = []
    for _ in range(ROUNDS):
        shutil.rmtree(copied, ignore_errors=True)
        shutil.rmtree(unpacked, ignore_errors=True)
        packed.unlink(missing_ok=True)
        times = seconds(
            lambda: shutil.copytree(faces, copied),
            lambda: pack(files, packed),
            lambda: unpack(packed, unpacked),
            lambda: read_index(packed),
            repeats=1,
        )
        rounds.append(times)
    copying, packing, unpacking, indexing = map(median, zip(*rounds, strict=True))
    print(
        f"\n{FACES:,} faces of {side} px, {packed.stat().st_size / FACES / 1000:.0f} kB each: copied in {copying:.2f} s,"
        f" packed at {copying / packing:.2f} of this speed, unpacked at {copying / unpacking:.2f}, indexed in {indexing:.2f} s"
    )
    for file in files:
        assert (unpacked / file.name).read_bytes() == file.read_bytes()
    assert min(copying / packing, copying / unpacking) >= LEAST
