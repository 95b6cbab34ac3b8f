"""No setting leads what else is made to faces."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tessera.core.errors import TesseraError
from tessera.workflow.face_sets import check_apart_from_faces
from tessera.workflow.project import Project

SETS: dict[str, Any] = {"face_sets": {"ada": {"subject": "Ada", "sources": ["film"]}}}
ALIGNED = "results/datasets/ada/aligned"
RIGHTS = {"name": "own", "content": "general", "rights": "CC0"}
NAMING: dict[str, Callable[[str], dict[str, Any]]] = {
    "annotations.labels.path": lambda path: {"annotations": {"labels": [{**RIGHTS, "path": path}]}},
    "annotations.image_labels.path": lambda path: {"annotations": {"image_labels": [{**RIGHTS, "path": path}]}},
    "annotations.frame_labels": lambda path: {"annotations": {"frame_labels": path}},
    "watermarks.sets.path": lambda path: {"watermarks": {"sets": [{**RIGHTS, "path": path}]}},
    "score.folder": lambda path: {"score": {"folder": path}},
}


@pytest.mark.parametrize("setting", NAMING)
@pytest.mark.parametrize("path", [ALIGNED, "results/faces/film/ada/images", "link/sheets", "results/datasets", "."])
def test_nothing_else_is_made_of_faces(load: Callable[..., Project], setting: str, path: str) -> None:
    project = load("film", **SETS, **NAMING[setting](path))
    Path("results/face_sets/ada").mkdir(parents=True)
    Path("link").symlink_to("results/face_sets/ada")
    with pytest.raises(TesseraError, match=f"`{setting}`: '{path}' holds faces of a person"):
        check_apart_from_faces(project)


def test_other_folders_and_texts_may_be_named(load: Callable[..., Project]) -> None:
    check_apart_from_faces(load("film", **SETS, **NAMING["score.folder"]("results/datasets/other")))
    check_apart_from_faces(
        load("film", **SETS, watermarks={"draw": {"texts": [".", "/", "x" * 5000]}}, score={"label": "a\0b"})
    )
    check_apart_from_faces(load("film", **NAMING["score.folder"](ALIGNED)))


@pytest.mark.parametrize("part", ["detector", "landmarks", "identity", "masks"])
def test_no_model_of_a_face_set_was_trained_here(load: Callable[..., Project], part: str) -> None:
    def project(path: str) -> Project:
        Path(path).parent.mkdir(parents=True)
        Path(path).touch()
        weights = {"weights": {"source": path, "sha256": "0123456789abcdef" * 4}}
        return load("film", face_sets={"ada": {**SETS["face_sets"]["ada"], part: weights}})

    check_apart_from_faces(project("models/own.onnx"))
    with pytest.raises(TesseraError, match=rf"`face_sets.ada.{part}.weights.source`: .* trained here, .* adult footage"):
        check_apart_from_faces(project("results/weights/mine/mine.onnx"))
