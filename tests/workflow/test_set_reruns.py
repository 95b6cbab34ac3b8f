"""Each row on image sets in docs/reruns.md is tried on a finished project: Snakemake is asked what it would run."""

import os
from contextlib import ExitStack

import pytest
from baseline import Baseline, Change, edit, rerun_jobs, setting, table_of_reruns
from portraits import ANNOTATIONS, CROPS, NO_MODELS, add_portraits, portrait, write_layout_model, write_tagger
from projects import Project, Run

from tessera.imaging.images import write_image

pytestmark = pytest.mark.workflow
TABLE = table_of_reruns("change of image sets")
TARGETS = ("identities", "tags", "datasets")
SHOWN = ["astronaut", "chelsea"]


def begin(project: Project) -> list[dict[str, str]]:
    """Fill `project` with two sources of two portraits, references and two sets; return the rows of its manifest."""
    rows = [{**add_portraits(project, source, SHOWN, first), "split": "train"} for source, first in (("one", 0), ("two", 3))]
    project.write_manifest(rows)
    for identity, photo in (("Ada", "astronaut"), ("Cat", "chelsea")):
        (project.folder / "references" / identity).mkdir(parents=True)
        write_image(project.folder / "references" / identity / "1.png", portrait(photo, 1))
    names = "target\taction\tto\tby\tdate\tnote\nCat\trename\tChelsea\tBo\t2026-01-31\t\n"
    (project.folder / "config" / "identities.tsv").write_text(names)
    (project.folder / "weights.tsv").write_text("pattern\tweight\nAda\t2\n")
    look = {"weights": write_layout_model(project.folder / "look.onnx"), "preprocessing": {"size": 16}}
    set_of_crops = {
        "select": {"of": ["person"], "minimum": 32, "identities": "any", "unique": False},
        "captions": {"tags": {"prune": "none"}, "parts": {"tags": 0.9}},
        "arrangement": {"folders": ["character"], "minimum_per_combination": 1, "weights": "weights.tsv"},
        "layouts": {"plain": {}, "kohya": {}},
    }
    project.settings = {
        **NO_MODELS,
        "annotations": ANNOTATIONS,
        "crops": CROPS,
        "embeddings": {"look": {"kind": "onnx", **look, "crops": ["person"]}},
        "identities": {"embedding": "look", "step": "person", "references": {"folder": "references"}},
        "tagger": {**write_tagger(project.folder, 16), "of": ["person"]},
        "image_sets": {"portraits": set_of_crops, "stills": {"select": {"minimum": 32}, "captions": {"text": "two"}}},
    }
    return rows


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Baseline:
    project = Project.create(tmp_path_factory.mktemp("set_reruns") / "project")
    return Baseline(project, begin(project), project.snakefile, TARGETS)


def another_reference(baseline: Baseline, stack: ExitStack) -> None:
    reference = baseline.project.folder / "references" / "Ada" / "1.png"
    content, state = reference.read_bytes(), reference.stat()
    stack.callback(os.utime, reference, ns=(state.st_atime_ns, state.st_mtime_ns))
    stack.callback(reference.write_bytes, content)
    write_image(reference, portrait("astronaut", 2))


CHANGES: dict[str, Change] = {
    "nothing": lambda baseline, stack: None,
    "what is cropped": setting("crops.steps", [{**CROPS["steps"][0], "min_side": 41}]),
    "a reference picture of an identity": another_reference,
    "how alike a reference and a crop must be": setting("identities.references.similarity", 0.8),
    "the name of an identity": edit("config/identities.tsv", "Chelsea", "Felix"),
    "how many crops of an identity are shown": setting("identities.shown", 9),
    "a threshold of the tagger": setting("tagger.thresholds", {"general": 0.4}),
    "which pictures are selected": setting("image_sets.portraits.select.minimum", 40),
    "the size of the pictures": setting("image_sets.portraits.pictures", {"shorter": 48}),
    "a threshold of the tags in captions": setting("image_sets.portraits.captions.tags.thresholds", {"general": 0.4}),
    "the probability of a part of captions": setting("image_sets.portraits.captions.parts.tags", 0.5),
    "a weight of the balance": edit("weights.tsv", "Ada\t2", "Ada\t3"),
    "the folders of the arrangement": setting("image_sets.portraits.arrangement.folders", ["series", "character"]),
    "a setting of a layout": setting("image_sets.portraits.layouts.kohya", {"dataset": {"batch_size": 2}}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_reruns_exactly_what_the_documentation_says(change: str, baseline: Baseline, finished: Run) -> None:
    assert baseline.planned_after(CHANGES[change]) == rerun_jobs(TABLE[change], finished)


def test_every_row_of_the_documentation_is_tried() -> None:
    assert set(CHANGES) == set(TABLE)
