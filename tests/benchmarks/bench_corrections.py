"""How many outlines of mosaics a person has to correct, with the proposals of the starter detector and without.

    FOOTAGE=FOLDER .venv/bin/python -m pytest -s -o python_files=bench_*.py -o faulthandler_exit_on_timeout=false \\
        tests/benchmarks/bench_corrections.py

A part of each video in the folder is pixelated as in `bench_starter.py`, and `snakemake propose` writes labelme files.
"""

import json
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
from bench_starter import CASES, Film, footage, pixelate
from projects import Project

from tessera.imaging.video import read_packets
from tessera.records.annotation.formats.labelme import read_labelme

EVERY = 6  # frames from one that is proposed to the next
CONFIDENCES = 0.1, 0.25, 0.4  # from which a detection is proposed
LEAST = 0.5, 0.75  # IoU from which an outline needs no correction
NEAR = 0.1  # IoU from which an outline is corrected rather than deleted and drawn again


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Film]:
    folder = tmp_path_factory.mktemp("footage")
    pairs = zip(CASES, cycle(footage()), strict=False)
    return [pixelate(video, case, folder, f"{number:02} {video.stem}") for number, (case, video) in enumerate(pairs)]


@pytest.fixture(scope="module")
def proposed(films: list[Film], tmp_path_factory: pytest.TempPathFactory) -> list[tuple[bool, list[tuple[float, float]]]]:
    """Return of each frame whether it shows a mosaic, and of each proposal its confidence and its IoU with the mosaic."""
    project = Project.create(tmp_path_factory.mktemp("bench") / "project")
    project.write_manifest([{"source": film.mosaicked.stem, "path": str(film.mosaicked)} for film in films])
    project.settings = {
        "preview": {
            "model": "mosaic_detection",
            "weights": "starter",
            "predict": {"every_frames": EVERY},
            "proposals": {"choose": "every", "every_frames": 1, "limit": 1000},
        }
    }
    ran = project.run("propose", timeout=3600)
    assert ran.returncode == 0, ran.output[-3000:]
    frames = []
    for film in films:
        time = read_packets(film.mosaicked).time
        files = sorted((project.folder / "labels" / "proposed").glob(f"{film.mosaicked.stem.replace(' ', '%20')}/*.json"))
        assert len(files) == len(range(0, len(time), EVERY))
        frames += [judged(path, film, float(time[EVERY * number])) for number, path in enumerate(files)]
    return frames


def judged(path: Path, film: Film, time: float) -> tuple[bool, list[tuple[float, float]]]:
    """Return what the label file `path` of the frame at `time` proposes; see `proposed`."""
    document = json.loads(path.read_text(encoding="utf-8"))
    is_shown = film.begin <= time <= film.end
    if not document["shapes"]:
        return is_shown, []
    image, _ = read_labelme(document, path.stem, document["imageWidth"], document["imageHeight"])
    truth = np.zeros((image.height, image.width), bool)
    x0, y0, x1, y1 = film.box
    truth[y0:y1, x0:x1] = is_shown
    masks = [(region.score, region.mask(image.height, image.width) > 0) for region in image.annotations]
    return is_shown, [(float(score or 0), float((mask & truth).sum() / (mask | truth).sum())) for score, mask in masks]


def test_proposals_leave_less_to_correct_than_there_is_to_draw(proposed: list[tuple[bool, list[tuple[float, float]]]]) -> None:
    drawn = sum(is_shown for is_shown, _ in proposed)
    print(f"\n{len(proposed)} frames; without proposals, {drawn} outlines are drawn")
    work: dict[tuple[float, float], int] = {}
    for confidence in CONFIDENCES:
        for least in LEAST:
            right = moved = missed = deleted = 0
            for is_shown, found in proposed:
                overlaps = sorted(iou for score, iou in found if score >= confidence)
                best = overlaps[-1] if overlaps and is_shown else 0.0
                right += best >= least
                moved += NEAR <= best < least
                missed += is_shown and best < NEAR
                deleted += len(overlaps) - (best >= NEAR)
            work[confidence, least] = moved + missed + deleted
            print(
                f"confidence {confidence}, IoU {least}: {right} right, {moved} to correct, {missed} to draw,"
                f" {deleted} to delete; {work[confidence, least] / drawn:.2f} times as many as without"
            )
    assert min(work.values()) < drawn
