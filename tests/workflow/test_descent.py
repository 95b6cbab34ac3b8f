"""Nothing descends from both a face set and adult footage, but for the report and the review page, which show everything."""

import json
import re
from collections.abc import Collection, Iterator, Mapping

import polars as pl
import pytest
from faces_of_ada import begin
from portraits import ANNOTATIONS, CROPS, write_layout_model, write_tagger
from projects import Project

from tessera.core.messages import truncate
from tessera.learning.trainings import RECORD

pytestmark = pytest.mark.workflow
Parents = Mapping[str, Collection[str]]  # the files that each file is made of
DETECTORS = ("nsfw_detection", "watermark_detection", "mosaic_detection")
# These hold what was decided of sources, and nothing of what they show.
VERDICTS = re.compile(r"results/(gates/|sources/|datasets/splits\.parquet$|face_sets/ledger\.jsonl$)")
# The report, the figures that count its jobs, and the review page.
EXCEPTED = re.compile(r"results/(reports/(report\.html|runs?\.json|timings\.svg)$|review/)")
FACES = re.compile(r"results/(unpacked|(faces/\w+|face_sets|selections|datasets)/ada)/")
ADULT = re.compile(r"adult(/|$)|results/(?!sources/).*\badult[/.]")


def with_models_of_the_frames(project: Project) -> None:
    """Let a classifier, an embedding, near-duplicates and an image set be made of the frames of all sources, too."""
    begin(project)
    steps = [{"blur": {"probability": 1, "sizes": [13], "sigma": [3, 3], "kernels": {"isotropic": 1}}}]
    look = {"weights": write_layout_model(project.folder / "look.onnx"), "preprocessing": {"size": 16}}
    project.settings |= {
        "embeddings": {"look": {"kind": "onnx", **look, "near_duplicates": {}}},
        "duplicates": {"distance": 0, "embeddings": ["look"]},
        "classifiers": {
            "soft": {
                "labels": ["clean", "blurred"],
                "pictures": {"degraded": {"levels": [{"label": "clean"}, {"label": "blurred", "steps": steps}]}},
                "architecture": "head",
                "embedding": "look",
                "training": {"epochs": 1},
            }
        },
        "image_sets": {"stills": {"select": {"minimum": 32}, "pictures": {"shorter": 64}}},
        "splits": {"val": 0.5, "test": 0},
    }


def descendants(parents: Parents, origin: re.Pattern[str]) -> set[str]:
    """Return the files that match `origin`, and all that is made of their content."""
    files = {*parents, *(each for of_one in parents.values() for each in of_one)}
    found = {file for file in files if origin.match(file)}
    left = {file for file in parents if not VERDICTS.match(file)} - found
    while more := {file for file in left if not found.isdisjoint(parents[file])}:
        found, left = found | more, left - more
    return found


def check_descent(parents: Parents, *made: str) -> None:
    """Check that no file but `EXCEPTED` is made of both, and that each of `made` is made of adult footage."""
    of_faces, of_adults = descendants(parents, FACES), descendants(parents, ADULT)
    mixed = sorted(file for file in of_faces & of_adults if not EXCEPTED.match(file))
    assert not mixed, truncate(mixed, 20)
    assert {"results/datasets/ada/faces.parquet", "results/datasets/ada/faceset.pak"} <= of_faces
    assert {*made} <= of_adults


def planned(project: Project, *targets: str) -> Parents:
    """Return what each file would be made of, as Snakemake plans it."""
    snakefile = project.folder / "Snakefile"
    snakefile.write_text(
        f"include: {str(project.snakefile)!r}\n\n\nonstart:\n"
        "    import json\n"
        "    files = {str(file): list(map(str, job.input)) for job in workflow.dag.jobs for file in job.output}\n"
        "    raise WorkflowError('planned ' + json.dumps(files))\n"
    )
    run = project.run("--", *targets, snakefile=snakefile)
    found = re.search(r"^planned (.+)$", run.output, re.MULTILINE)
    assert found, run.output
    parents: dict[str, list[str]] = json.loads(found[1])
    return parents


def recorded(project: Project) -> Parents:
    """Return what each file was made of, by the records of a run."""
    return dict(_records(project))


def _records(project: Project) -> Iterator[tuple[str, list[str]]]:
    for file in project.results.glob("records/*/*.json"):
        made_of, outputs, _ = file.read_text(encoding="utf-8").splitlines()
        inputs = [path for named in json.loads(made_of)["inputs"].values() for path in named]
        yield from ((output, inputs) for output in json.loads(outputs))


def test_by_the_plan_of_everything_nothing_is_made_of_both(project: Project) -> None:
    with_models_of_the_frames(project)
    for folder in ("labels", "set", "marks"):
        (project.folder / folder).mkdir()
    own = {"content": "adult", "rights": "CC0", "consent": "release 3", "adults_verified": "yes"}
    del project.settings["models"], project.settings["scenes"]
    project.settings |= {
        "annotations": {**ANNOTATIONS, "labels": [{"name": "set", "path": "set", **own}]},
        "watermarks": {"sets": [{"name": "marks", "path": "marks", **own}]},
        "crops": CROPS,
        "tagger": write_tagger(project.folder, 16),
        "identities": {"embedding": "look", "step": "person"},
        "drops": {"mosaic_detection": {"soft": {"label": "blurred", "max": 0.5}}},
        "search": {"rate": {"model": "nsfw_detection", "space": {"training.lr0": {"log": [0.001, 0.1]}}}},
    }
    project.settings["embeddings"]["look"]["crops"] = ["person"]
    pack = {"path": "faceset.pak", "subject": "Ada", "content": "general", "rights": "CC0"}
    (project.folder / "faceset.pak").touch()
    project.settings["face_packs"] = {"earlier": pack}
    parents = planned(project, "all", "datasets", "preview", "search", "make_proxies", "ada", *DETECTORS)
    weights = [f"results/weights/{name}/SHA256SUMS" for name in (*DETECTORS, "mosaic_restoration", "soft")]
    check_descent(
        parents, *weights, "results/datasets/stills/croissant.json", "results/near_duplicates/look/near_duplicates.parquet"
    )
    both = descendants(parents, FACES) & descendants(parents, ADULT)
    assert {"results/reports/report.html", "results/review/items.parquet"} <= both, "what is excepted is made"


def test_by_the_records_of_a_run_nothing_is_made_of_both(project: Project) -> None:
    with_models_of_the_frames(project)
    run = project.run("datasets", "soft", "embeddings", "ada")
    assert run.returncode == 0, run.output
    parents = recorded(project)
    check_descent(parents, "results/weights/soft/SHA256SUMS", "results/datasets/stills/croissant.json")
    # The sources that tables, datasheets and trainings state.
    of_faces = descendants(parents, FACES)
    tables = {str(path.relative_to(project.folder)): pl.read_parquet(path) for path in project.results.rglob("*.parquet")}
    stated = {path: set(table["source"]) for path, table in tables.items() if "source" in table.columns}
    sheets = {path.parent.name: json.loads(path.read_text()) for path in project.results.glob("datasets/*/datasheet.json")}
    stated |= {f"results/datasets/{name}/": {row["source"] for row in sheet["origins"]} for name, sheet in sheets.items()}
    assert {path for path in stated if path in of_faces or path == "results/datasets/ada/"} > {"results/datasets/ada/"}
    for path, sources in stated.items():
        if path in of_faces or path == "results/datasets/ada/":
            assert sources <= {"film", "talk"}, path
    assert {"film", "adult"} <= stated["results/datasets/stills/"] & stated["results/datasets/soft/"]
    trained = json.loads((project.results / "training" / "soft" / RECORD).read_text())
    assert {"film", "adult"} <= set(trained["sources"])
