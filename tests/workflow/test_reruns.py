"""Each row of docs/reruns.md is tried: the change is made to a finished project, and Snakemake is asked what it would run.

The tests at the end of this file run a few jobs, for which the finished project is needed too, and change its results.
"""

import html
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import polars as pl
import pytest
import small_pipeline
from baseline import GROUPS, Baseline, Change, Rows, code, digests, remove, rules_in, setting, table_of_reruns
from projects import REPOSITORY, Project

from tessera.catalogue import DATASETS, MODELS
from tessera.core.messages import pluralize
from tessera.core.provenance import sha256_file
from tessera.imaging.encode import write_video
from tessera.imaging.images import write_image

TABLE = table_of_reruns("change")
TINY_LOCK = re.search(r"^iniconfig==.*?(?=^\S)", (REPOSITORY / "envs" / "development.txt").read_text(), re.M | re.S)[0]
OF_SHARDS = {"admit_sources", "sample_frames", "import_frame_labels", "draw_watermarks", "embed_frames"}
OF_MODELS = {"select_samples", *GROUPS["dataset"], *GROUPS["model"]} - {"plot_timings", "summarise", "report"}
OF_CLIPS = {*GROUPS["clips"], *GROUPS["restoring"]}
SHARDS = ("amber", "clay")
DETECTORS = ("nsfw", "watermark", "mosaic")
STAGES = ("stage1", "stage2")


def a_manifest(change: Callable[[Rows], Rows]) -> Change:
    def make(baseline: Baseline, stack: ExitStack) -> None:
        stack.callback(baseline.project.write_manifest, baseline.rows)
        baseline.project.write_manifest(change(baseline.rows))

    return make


def a_label(baseline: Baseline, stack: ExitStack) -> None:
    label = baseline.project.folder / "labels" / "amber" / "amber-0000004.json"
    stack.enter_context(baseline.edited(label, '"nsfw"', '"other"'))


def another_file(baseline: Baseline, stack: ExitStack) -> None:
    video = baseline.project.folder / "footage" / "clay.mp4"
    content, state = video.read_bytes(), video.stat()
    stack.callback(os.utime, video, ns=(state.st_atime_ns, state.st_mtime_ns))
    stack.callback(video.write_bytes, content)
    write_video(video, small_pipeline.pictures("another"), 24)


def one_more_source(baseline: Baseline, stack: ExitStack) -> None:
    row = small_pipeline.add_source(baseline.project, "dolomite")
    stack.callback(shutil.rmtree, baseline.project.folder / "labels" / "dolomite")
    a_manifest(lambda rows: [*rows, row])(baseline, stack)


def a_label_folder(baseline: Baseline, stack: ExitStack) -> None:
    folder = baseline.project.folder / "stills"
    folder.mkdir()
    write_image(folder / "slate.png", small_pipeline.pictures("slate")[4])
    (folder / "slate.json").write_text(json.dumps({**small_pipeline.label(4), "imagePath": "slate.png"}))
    stack.callback(shutil.rmtree, folder)
    settings = {"name": "stills", "path": "stills", "content": "general", "rights": "CC0"}
    stack.enter_context(baseline.set("annotations.labels", [settings]))


def weights(baseline: Baseline, stack: ExitStack) -> None:
    checkpoint = baseline.project.results / "weights" / "nsfw_detection" / "nsfw_detection.pt"
    declared = {"source": str(checkpoint), "sha256": sha256_file(checkpoint)}
    stack.enter_context(baseline.set("models.mosaic_detection.weights", declared))


def compared_weights(baseline: Baseline, stack: ExitStack) -> None:
    checkpoint = baseline.project.results / "weights" / "nsfw_detection" / "nsfw_detection.pt"
    declared = {"name": "other", "source": str(checkpoint), "sha256": sha256_file(checkpoint)}
    stack.enter_context(baseline.set("comparisons.mosaic_detection", [declared]))


def compared_restorer(baseline: Baseline, stack: ExitStack) -> None:
    weights = baseline.project.results / "weights" / "mosaic_restoration" / "mosaic_restoration.safetensors"
    declared = {"name": "other", "source": str(weights), "sha256": sha256_file(weights)}
    stack.enter_context(baseline.set("comparisons.mosaic_restoration", [declared]))


def an_embedding(baseline: Baseline, stack: ExitStack) -> None:
    checkpoint = baseline.project.results / "weights" / "nsfw_detection" / "nsfw_detection.pt"
    declared = {"source": str(checkpoint), "sha256": sha256_file(checkpoint)}
    embedding = {"kind": "detector", "weights": declared, "output": "layout", "near_duplicates": {}}
    stack.enter_context(baseline.set("embeddings", {"look": embedding}))


def a_watermark_set(baseline: Baseline, stack: ExitStack) -> None:
    folder = baseline.project.folder / "marks"
    folder.mkdir()
    stack.callback(shutil.rmtree, folder)
    write_image(folder / "slate.png", small_pipeline.pictures("slate")[4])
    (folder / "slate.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    settings = {"name": "marks", "path": "marks", "content": "general", "rights": "CC0"}
    stack.enter_context(baseline.set("watermarks.sets", [settings]))


def a_decision(key: str) -> Change:
    def change(baseline: Baseline, stack: ExitStack) -> None:
        table = baseline.project.folder / "config" / "decisions.tsv"
        table.write_text(f"key\tdecision\treason\twho\twhen\n{key}\tdrop\tblurred\tme\t2026-01-31\n")
        stack.callback(table.unlink)

    return change


def a_caption(baseline: Baseline, stack: ExitStack) -> None:
    caption = baseline.snakefile.parent / "workflow" / "report" / "timings.rst"
    stack.enter_context(baseline.edited(caption, "", "Another caption. "))


def a_moved_file(baseline: Baseline, stack: ExitStack) -> None:
    library = baseline.code("")
    for path in sorted(library.rglob("*.py")):
        if "tessera.imaging.polygons" in (text := path.read_text(encoding="utf-8")):
            stack.callback(path.write_text, text, encoding="utf-8")
            path.write_text(text.replace("tessera.imaging.polygons", "tessera.records.shapes"), encoding="utf-8")
    moved = (library / "imaging" / "polygons.py").rename(library / "records" / "shapes.py")
    stack.callback(moved.rename, library / "imaging" / "polygons.py")


def a_script(old: str, new: str) -> Change:
    return lambda baseline, stack: stack.enter_context(
        baseline.edited(baseline.snakefile.parent / "workflow" / "scripts" / "write_croissant.py", old, new)
    )


def other_times(baseline: Baseline, stack: ExitStack) -> None:
    scripts = baseline.snakefile.parent / "workflow" / "scripts"
    for number, path in enumerate([*scripts.iterdir(), *baseline.project.folder.rglob("*")]):
        os.utime(path, (1e9 + number % 7 * 1e8,) * 2)


def other_order(rows: Rows) -> Rows:
    """Return the same manifest with its rows, its columns and the names in `use` in another order."""
    reversed_use = [{**row, "use": ", ".join(reversed(row.get("use", "").split(",")))} for row in rows]
    return [dict(reversed(row.items())) for row in reversed(reversed_use)]


CHANGES: dict[str, Change] = {
    "nothing": lambda baseline, stack: None,
    "a comment or a docstring in the library": code("stages/datasets/splits.py", '"""', '"""In other words. '),
    "a comment in a script": a_script("with job(", "# In other words.\nwith job("),
    "what a script does": a_script("with job(", "assert True\nwith job("),
    "the times of files": other_times,
    "the order of rows, columns and names in the manifest": a_manifest(other_order),
    "a message of the library": code("core/pool.py", "loads the data alone", "loads the data itself"),
    "an error message of the splits": code("stages/datasets/splits.py", "fix it to one split only", "give it one"),
    "another function in a module of the library": code(
        "stages/datasets/splits.py", "\ndef ", "\ndef another() -> int:\n    return 1\n\n\ndef "
    ),
    "a file of the library moved": a_moved_file,
    "a table that no rule uses": code(
        "records/tables/demo.py", "class DemoClips(Table):", "class DemoClips(Table):\n    extra: pl.Int64\n"
    ),
    "the description of a column": code("records/tables/footage.py", "id from the manifest", "the source in the manifest"),
    "a column of the scores": code(
        "records/tables/clips.py", "    looked: pl.Int64 = pa.Field(gt=0,", "    looked: pl.Int64 = pa.Field(ge=0,"
    ),
    "the logic of the splits": code("stages/datasets/splits.py", "number < settings.val", "number <= settings.val"),
    "the logic that all sources pass": code("stages/footage/admission.py", "size += file.tell()", "size -= file.tell()"),
    "how mosaics are drawn": code("imaging/mosaic/drawing.py", "FEATHERED_FROM = 5", "FEATHERED_FROM = 6"),
    "how the sizes of blocks are computed": code("imaging/mosaic/drawing.py", "max(4, max(", "max(5, max("),
    "a setting of the frames": setting("frames.quality", 90),
    "a setting of the previews": setting("preview.confidence", 0.5),
    "how much of a video is watched": setting("video_metrics.max_seconds", 0.2),
    "what a source is free of": a_manifest(lambda rows: [*rows[:-1], {**rows[-1], "free_of": "mosaic"}]),
    "how the mosaics in footage are restored": setting("restore.feather", 0.1),
    "which mosaics in footage are restored": setting("restore.choose", {"confidence": 0, "min_seconds": 0.1}),
    "a setting of the report": setting("report.blur", "all"),
    "a caption of the report": a_caption,
    "what Croissant states": setting("croissant.date", "2026-01-31"),
    "how many trainings are kept": setting("trainings.keep", 1),
    "the fractions of the splits": setting("splits.val", 0.3),
    "a training argument of the first model": setting("models.nsfw_detection.training.lr0", 0.02),
    "a training argument of the last model": setting("models.mosaic_detection.training.lr0", 0.02),
    "the tolerance of the export of the last model": setting("models.mosaic_detection.tolerance", {"score": 0.01}),
    "a setting of the mosaics": setting("mosaics.feathered", 0.1),
    "a degradation": setting("degradations.detection", []),
    "weights that a detector is compared with": compared_weights,
    "weights that a restorer is compared with": compared_restorer,
    "a threshold of the regions": setting("regions.choose.heads", 0.5),
    "how watermarks are drawn": setting("watermarks.draw.opacity", [0.5, 0.9]),
    "a set of watermarks": a_watermark_set,
    "how a detector looks through videos": setting("scenes.detect.every_frames", 2),
    "how scenes are chosen": setting("scenes.choose.bridge_seconds", 0.6),
    "how clips are cut": setting("clips.crf", 20),
    "how clips are scored": setting("scores.samples", 3),
    "a threshold of the filters": setting("filters.max_watermark", 0.3),
    "a clip more or less: what a person decided of it": a_decision("amber-0000000-000"),
    "what a person decided of a region": a_decision("amber-0000000+1-2-30-40"),
    "a setting of the mosaics that restoration is trained on": setting("restoration.data.mosaics", {"feathered": 0.1}),
    "the weight of a loss of the last stage": setting("restoration.stages", small_pipeline.stages(adversarial=0.1)),
    "the fraction of frames that may fail": setting("gates.frames", 0.5),
    "the seed": setting("seed", 1),
    "pretrained weights": weights,
    "one label file": a_label,
    "a folder of labels": a_label_folder,
    "an embedding": an_embedding,
    "one more source": one_more_source,
    "one source less": a_manifest(lambda rows: rows[1:]),
    "the rights of one source": a_manifest(lambda rows: [{**rows[0], "rights": "CC BY 4.0"}, *rows[1:]]),
    "the file of one source": another_file,
}


def figures(report: Path) -> list[str]:
    """Return the paths of the figures in `report`."""
    return [html.unescape(path) for path in re.findall("<code data-figure>(.*?)</code>", report.read_text(encoding="utf-8"))]


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Baseline]:
    folder = tmp_path_factory.mktemp("reruns")
    snakefile = small_pipeline.copy_of_workflow(folder / "workflow-copy")
    project = Project.create(folder / "project")
    rows = small_pipeline.begin(project)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(snakefile.parent / "src"))
        run = project.run(snakefile=snakefile)
        assert run.returncode == 0, run.output
        # What runs again follows from the results alone.
        shutil.rmtree(project.folder / ".snakemake")
        yield Baseline(project, rows, snakefile)


@pytest.mark.workflow
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_reruns_exactly_what_the_documentation_says(change: str, baseline: Baseline) -> None:
    expected: dict[str, set[str]] = {}  # the rerun jobs of each rule: shards, or datasets and models
    for clause in TABLE[change].split(";"):
        for rule in rules_in(clause):
            if rule in OF_SHARDS:
                made = SHARDS[:1] if "*its shard*" in clause else SHARDS
            elif rule == "train_stage":
                made = [name for name in STAGES if f"*{name}*" in clause] or STAGES
            elif rule in OF_CLIPS & OF_MODELS and re.search(r"\b(clips|restoring|measuring)\b", clause):
                made = ["restoration"]
            elif rule in OF_CLIPS & OF_MODELS and clause.strip() == f"`{rule}`":
                made = [*DETECTORS, "restoration"]
            elif rule in OF_MODELS:
                made = [name for name in DETECTORS if f"*{name}*" in clause] or DETECTORS
            else:
                made = []
            expected.setdefault(rule, set()).update(made)
    planned = baseline.planned_after(CHANGES[change])
    assert set(planned) == set(expected)
    assert {rule: planned[rule] for rule in expected if expected[rule]} == {
        rule: len(made) for rule, made in expected.items() if made
    }


@pytest.mark.workflow
def test_a_copy_of_a_project_at_another_place_has_nothing_to_do(baseline: Baseline, tmp_path: Path) -> None:
    shutil.copytree(baseline.project.folder, tmp_path / "deeper" / "copy", copy_function=shutil.copyfile)
    copy = Project(tmp_path / "deeper" / "copy", baseline.project.settings)
    assert Baseline(copy, baseline.rows, baseline.snakefile).planned("all") == {}


@pytest.mark.workflow
@pytest.mark.parametrize(
    "changes",
    [
        (
            code("stages/datasets/datasheets.py", "AREA_PIXELS = (0, 16**2", "AREA_PIXELS = (0, 8**2"),
            CHANGES["a training argument of the last model"],
        ),
        (CHANGES["the fraction of frames that may fail"], CHANGES["the fractions of the splits"]),
    ],
    ids=["datasheet and training", "gate and splits"],
)
def test_one_change_does_not_hide_another(changes: tuple[Change, Change], baseline: Baseline) -> None:
    assert set(baseline.planned_after(*changes)) == set().union(*(baseline.planned_after(change) for change in changes))


@pytest.mark.workflow
def test_the_definition_that_makes_a_job_run_again_is_named(baseline: Baseline) -> None:
    with ExitStack() as stack:
        code("stages/datasets/datasheets.py", "AREA_PIXELS = (0, 16**2", "AREA_PIXELS = (0, 8**2")(baseline, stack)
        planned = baseline.project.run("--dry-run", "--", "all", snakefile=baseline.snakefile).output
    assert re.search(
        r"^write_datasheet: tessera\.stages\.datasets\.datasheets\.AREA_PIXELS has changed \(", planned, re.MULTILINE
    )
    assert "the code of its functions" not in planned


@pytest.mark.workflow
@pytest.mark.parametrize(
    "product",
    [
        "datasets/mosaic_detection/images",
        "datasets/mosaic_detection/coco.json",
        "datasets/mosaic_detection/SHA256SUMS",
        "datasets/mosaic_restoration/train",
        "datasets/mosaic_restoration/datasheet.md",
        "weights/mosaic_detection/mosaic_detection.onnx",
        "weights/mosaic_restoration/mosaic_restoration.safetensors",
    ],
)
def test_a_product_that_was_lost_is_named_and_made_again(product: str, baseline: Baseline, tmp_path: Path) -> None:
    path = baseline.project.results / product
    path.rename(tmp_path / "lost")
    try:
        assert baseline.planned("all")
        run = baseline.project.run("--", "verify", snakefile=baseline.snakefile)
        assert run.returncode != 0 and f"results/{product}: it is missing" in run.output
    finally:
        (tmp_path / "lost").rename(path)
    assert baseline.planned("all") == {}


@pytest.mark.workflow
def test_a_changed_lock_rebuilds_its_environment(baseline: Baseline) -> None:
    locks = baseline.snakefile.parent / "envs"  # of the code, not of the project
    locks.mkdir(exist_ok=True)
    (locks / "tiny.txt").write_text(TINY_LOCK)
    target = "results/environments/tiny"
    run = baseline.project.run(target, snakefile=baseline.snakefile)
    assert run.returncode == 0, run.output
    python = baseline.project.folder / target / "bin" / "python"
    assert subprocess.run([python, "-c", "import iniconfig"], check=False).returncode == 0
    assert baseline.planned(target) == {}
    (locks / "tiny.txt").write_text(f"{TINY_LOCK}# another\n")
    assert baseline.planned(target) == {"build_environment": 1}


def test_every_row_of_the_documentation_is_tried() -> None:
    # The last one is tested in test_detectors.py, because only a real run shows what is trained.
    others = {"the lock of an environment", "a training's settings changed and changed back"}
    assert {*CHANGES, *others} == set(TABLE)


@pytest.mark.workflow
def test_the_report_shows_every_figure_with_a_caption(baseline: Baseline) -> None:
    reports = baseline.project.results / "reports"
    shown = figures(reports / "report.html")
    files = [path for path in reports.rglob("[!.]*") if path.is_file() and path.suffix != ".json"]
    made = {path.relative_to(baseline.project.folder).as_posix() for path in files}
    assert sorted(shown) == sorted(made - {"results/reports/report.html", "results/reports/summary.html"})
    assert {f"results/reports/datasets/{dataset.name}/funnel.svg" for dataset in DATASETS} <= set(shown)
    assert {f"results/reports/models/{model.name}/card.html" for model in MODELS} <= set(shown)
    # The project has no source in the test split, and so no figure of one.
    assert not [path for path in shown if "test" in Path(path).name]
    text = (reports / "report.html").read_text(encoding="utf-8")
    parts = text.split('<div class="figure">')[1:]
    assert all('<p class="caption">' in part for part in parts)
    # Numbers of labels and wildcards decide the order, and are not shown.
    labels = [label for part in parts for label in re.findall("<h[34]>(.*?)</h[34]>", part)]
    assert not [label for label in labels if label[0].isdigit() or "{" in label]


@pytest.mark.workflow
def test_a_report_that_cannot_be_made_leaves_nothing_behind(baseline: Baseline) -> None:
    caption = baseline.snakefile.parent / "workflow" / "report" / "timings.rst"
    with ExitStack() as stack:
        stack.enter_context(baseline.edited(caption, "", "{{ config.nothing }} "))
        run = baseline.project.run("report", snakefile=baseline.snakefile)
    assert run.returncode != 0
    assert "timings.rst of results/reports/timings.svg: " in run.output and "'nothing'; correct it (log: " in run.output
    assert not [path for path in (baseline.project.results / "reports").iterdir() if "report.html" in path.name]


@pytest.mark.workflow
def test_the_report_follows_its_captions_and_the_settings_of_the_command_line(baseline: Baseline) -> None:
    project = baseline.project
    with ExitStack() as stack:
        CHANGES["a caption of the report"](baseline, stack)
        # The manifest that the file of settings names is missing, so a report with those settings would fail.
        manifest = project.folder / "config" / "sources.tsv"
        stack.callback(manifest.with_name("others.tsv").rename, manifest)
        manifest.rename(manifest.with_name("others.tsv"))
        run = project.run("report", "--config", "manifest=config/others.tsv", snakefile=baseline.snakefile)
    assert run.returncode == 0, run.output
    assert run.jobs == ["report"]
    assert "Another caption." in (project.results / "reports" / "report.html").read_text(encoding="utf-8")


@pytest.mark.workflow
def test_what_models_do_has_the_same_bytes_for_any_cores_and_after_a_kill(baseline: Baseline) -> None:
    project, models = baseline.project, "reports/models"
    # Without the tables of compared models, which state their speed.
    asked = ["restored/summary.json", "reports/footage.html", "reports/summary.html"]
    asked += [f"{models}/mosaic_restoration/{name}" for name in ("where.svg", "restored")]
    asked += [f"{models}/mosaic_detection/where.html"]
    targets = [f"results/{path}" for path in asked]
    made = [*asked, *(f"restored/clay/{name}" for name in ("videos", "comparisons", "sheets", "scenes.parquet"))]
    run = project.run(*targets, snakefile=baseline.snakefile)
    assert run.returncode == 0, run.output
    expected = digests(project, made)
    assert {f"restored/clay/{name}/clay.mp4" for name in ("videos", "comparisons")} <= expected.keys()
    for path in ("restored", *asked[1:]):
        remove(project.results / path)
    process = project.start(*targets, cores=1, snakefile=baseline.snakefile)
    deadline = time.monotonic() + 120
    # A copy is opened when its first frame is encoded.
    while not list(project.results.glob("restored/clay/kept/videos/.*/restored.mp4")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0].decode()
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert not list(project.results.glob("restored/clay/kept/videos/[!.]*"))
    assert not list(project.results.glob("restored/clay/videos"))
    assert project.run("--unlock", snakefile=baseline.snakefile).returncode == 0
    run = project.run(*targets, cores=1, snakefile=baseline.snakefile)
    assert run.returncode == 0, run.output
    assert digests(project, made) == expected
    assert not [path for path in (project.results / "restored").rglob(".*") if path.name != ".snakemake_timestamp"]


@pytest.mark.workflow
def test_other_block_sizes_do_not_encode_clips_again(baseline: Baseline) -> None:
    project = baseline.project
    clips = project.results / "clips" / "amber"
    stored = {path: path.stat().st_mtime_ns for path in clips.glob("kept/*/*")}
    sizes = pl.read_parquet(clips / "clips.parquet")["block_v3"].to_list()
    assert set(sizes) == {4.0}
    with ExitStack() as stack:
        CHANGES["how the sizes of blocks are computed"](baseline, stack)
        target = str((clips / "clips.parquet").relative_to(project.folder))
        run = project.run(target, snakefile=baseline.snakefile)
    assert run.returncode == 0, run.output
    assert run.jobs == ["make_clips amber"], run.output
    assert {path: path.stat().st_mtime_ns for path in clips.glob("kept/*/*")} == stored
    assert set(pl.read_parquet(clips / "clips.parquet")["block_v3"]) == {5.0}
    log = (project.results / "logs" / "make_clips" / "amber.log").read_text()
    assert f"reused {len(sizes)} of {pluralize(len(sizes), 'clips')} from results/clips/amber/kept" in log
