"""A project with faces of Ada, who consented, of Bob, who did not, and with adult footage."""

import csv
from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
from portraits import NO_MODELS
from projects import Project

from decoded_models import write_centerface, write_embedder, write_landmark_model
from tessera.core.provenance import sha256_file
from tessera.demo.photographs import photograph
from tessera.extras.face_sets.landmarks import HEAD, MEAN_FACE, MEAN_FIVE
from tessera.imaging.images import write_image

SIDE, FACE = 320, 128  # pixels of the pictures, and of the face in them
LEVEL = round(32 * np.log(FACE / 4))
MEAN = np.concatenate([HEAD[:17, :2] / 125 + (0.49, 0.47), MEAN_FACE]) * 0.8 + 0.1
ADA = {"name": "Ada", "consent": "release 1", "scope": "face_sets", "adult_attested": "yes", "evidence": "a" * 64}
BOB = {"name": "Bob"}
ADULT = {"content": "adult", "consent": "release 2", "adults_verified": "yes"}


def write_subjects(project: Project, *subjects: Mapping[str, str]) -> None:
    with (project.folder / "config" / "subjects.tsv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*ADA, "expires", "revoked"], delimiter="\t", lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(subjects)


def add_pictures(project: Project, source: str, background: str, count: int) -> dict[str, str]:
    """Write a folder of photographs through which a face moves, and return its row in the manifest.

    The detector sees a red cell in the middle of the face, and nothing else is as red.
    """
    (project.folder / source).mkdir()
    face = cv2.resize(photograph("astronaut")[40:190, 150:300], (FACE, FACE))
    for number in range(count):
        picture = cv2.resize(photograph(background), (SIDE, SIDE))
        x, y = 40 + 24 * number, 60 + 8 * number
        picture[y : y + FACE, x : x + FACE] = face
        picture = (picture * 0.8).astype(np.uint8)
        picture[y + 64 : y + 68, x + 64 : x + 68] = (255, LEVEL, LEVEL)
        write_image(project.folder / source / f"{number}.png", picture)
    return {"source": source, "path": source}


def begin(project: Project) -> None:
    """Fill `project` with two sources of a person who consented, one of adult content, and one of a person who did not."""
    rows = [add_pictures(project, name, background, 3) for name, background in (("film", "coffee"), ("talk", "chelsea"))]
    rows += [add_pictures(project, "adult", "rocket", 1) | ADULT, add_pictures(project, "street", "coins", 2)]
    project.write_manifest(rows)
    # The day after this one, so that the consent lasts as long as the tests, also over midnight.
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    write_subjects(project, ADA | {"expires": tomorrow.isoformat()}, BOB)
    detector = write_centerface(project.folder / "faces.onnx", points=[(x, y) for x, y in MEAN_FIVE * 0.8 + 0.1])
    model = write_landmark_model(project.folder / "landmarks.onnx", MEAN)
    means = write_embedder(project.folder / "means.onnx")
    common = {
        "detector": {
            "weights": {"source": detector.name, "sha256": sha256_file(detector)},
            "confidence": 0.9,
            "image_size": SIDE,
        },
        "landmarks": {
            "weights": {"source": model.name, "sha256": sha256_file(model)},
            "crop": "square",
            "factor": 1.0,
        },
        "squares": {"size": 64},
        "identity": {
            "weights": {"source": means.name, "sha256": sha256_file(means)},
            "size": 32,
            "mean": [0.4, 0.4, 0.4],
        },
        "filter": {"max_cut_off": 0.5},
        "pack": True,
    }
    project.settings = {
        "frames": {"format": "png"},
        "face_sets": {
            "ada": {"subject": "Ada", "sources": ["film", "talk", "adult"], **deepcopy(common)},
            "bob": {"subject": "Bob", "sources": ["street"], **common},
        },
        **NO_MODELS,
    }


def made(project: Project) -> dict[str, bytes]:
    """Return the files of the face set `ada`, and what was measured of its faces."""
    kinds = {".jpg", ".png", ".pak", ".parquet", ".jsonl"}
    folders = [project.results / name / "ada" for name in ("datasets", "face_sets")]
    paths = sorted(path for folder in folders for path in folder.rglob("*") if path.suffix in kinds)
    return {str(path.relative_to(project.results)): path.read_bytes() for path in paths}


def of_set(project: Project, name: str) -> list[Path]:
    """Return what there is of the face set `name`, besides logs and measurements."""
    paths = (path.relative_to(project.results) for path in project.results.rglob("*"))
    return sorted(path for path in paths if name in path.parts and path.parts[0] not in {"logs", "benchmarks"})
