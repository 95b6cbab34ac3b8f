"""Cutting faces out of frames, without the time of the models, against decoding, warping and encoding alone."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import process_time
from typing import Any

import cv2
import numpy as np
import pytest
from timing import seconds

from tessera.core.ledger import Ledger
from tessera.core.pool import keep_freed_memory
from tessera.demo.photographs import photograph
from tessera.extras.face_sets.alignment import align, warp
from tessera.extras.face_sets.extract import Models, _cut
from tessera.extras.face_sets.find import FoundFace
from tessera.extras.face_sets.landmarks import HEAD, MEAN_FACE, MEAN_FIVE
from tessera.extras.face_sets.settings import FaceSetSettings
from tessera.imaging.images import read_image, write_image
from tessera.records.frames import read_sampled

FRAMES, HEIGHT, WIDTH = 40, 1080, 1920
MEAN = np.concatenate([HEAD[:17, :2] / 125 + (0.49, 0.47), MEAN_FACE])


class Known:
    """Models that know where the face is, in no time."""

    digests = ("detector", "landmarks")

    def __init__(self, landmarks: np.ndarray) -> None:
        (x0, y0), (x1, y1) = landmarks.min(axis=0), landmarks.max(axis=0)
        self._face = FoundFace((x0, y0, x1, y1), landmarks, 0.9, 0)

    @property
    def finder(self) -> "Known":
        return self

    def find(self, images: Sequence[np.ndarray]) -> list[list[FoundFace]]:
        return [[self._face] for _ in images]


@pytest.mark.parametrize("points", [MEAN, MEAN_FIVE], ids=["68 landmarks", "5 landmarks"])
def test_cutting_takes_little_more_than_decoding_warping_and_encoding(tmp_path: Path, points: np.ndarray) -> None:
    cv2.setNumThreads(1)
    keep_freed_memory()  # as the job does
    settings = FaceSetSettings(subject="Ada", sources=["film"])
    landmarks = np.round(points * 240 + (800, 400), 2)
    frame = cv2.resize(photograph("astronaut"), (WIDTH, HEIGHT))
    rows = []
    for number in range(FRAMES):
        write_image(tmp_path / f"{number}.jpg", np.roll(frame, number, axis=1))
        rows.append({"key": f"film-{number:07d}", "source": "film", "index": number, "pts": number, "file": f"{number}.jpg"})
        rows[-1] |= {"width": WIDTH, "height": HEIGHT}

    def one(row: dict[str, Any]) -> None:
        image = read_image(tmp_path / row["file"])
        matrix = align(landmarks, HEIGHT, WIDTH, "whole", 512)
        write_image(tmp_path / "alone" / row["file"], warp(image, matrix, 512), 90)

    def alone() -> None:
        # In a thread, whose memory costs more, as in the other work.
        with ThreadPoolExecutor(1) as pool:
            list(pool.map(one, rows))

    def cut() -> None:
        models: Models = Known(landmarks)  # type: ignore[assignment]
        with ThreadPoolExecutor(1) as pool, Ledger(tmp_path / "ledger.jsonl") as ledger:
            read = read_sampled(rows, tmp_path, pool, 2, ledger)
            assert len(list(_cut(read, models, settings, tmp_path / "cut", pool, ledger))) == FRAMES

    (tmp_path / "alone").mkdir()
    (tmp_path / "cut").mkdir()
    least, taken = seconds(alone, cut, repeats=5, clock=process_time)
    print(
        f"{len(points)} landmarks: {FRAMES / taken:.0f} faces a second; decoding, warping and encoding take {least / taken:.0%}"
    )
    assert least / taken >= 0.85
