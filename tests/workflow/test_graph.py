"""The dependencies between rules are as written down, and each rule has a script."""

import difflib
import re
from pathlib import Path

import pytest
import yaml
from projects import REPOSITORY, Project

from tessera.learning.trainings import RECORD, Record

MODELS = ("nsfw_detection", "watermark_detection", "mosaic_detection", "mosaic_restoration")
GRAPH = Path(__file__).with_name("graph.txt")
RULES = {
    name: body
    for path in sorted((REPOSITORY / "workflow" / "rules").rglob("*.smk"))
    for name, body in re.findall(r"^rule (\w+):\n((?:(?:[ \t].*)?\n)+)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
}


def read_dot(text: str) -> list[str]:
    """Return the edges of a graph that Snakemake printed, as lines `rule <- rule`, sorted."""
    names = dict(re.findall(r'(\d+)\[label = "(\w+)"', text))
    return sorted(f"{names[later]} <- {names[earlier]}" for earlier, later in re.findall(r"(\d+) -> (\d+)", text))


@pytest.mark.workflow
def test_the_graph_of_rules_equals_graph_txt(project: Project) -> None:
    project.write_manifest([{"source": "one", "path": "one.mp4"}, {"source": "two", "path": "two.mp4", "use": "restore"}])
    for folder in ("labels", "frame labels"):
        (project.folder / folder).mkdir()
    label_set = {"name": "mine", "path": "labels", "content": "general", "rights": "CC0"}
    watermark_set = {**label_set, "name": "marks"}
    project.settings = {
        "annotations": {"labels": [label_set], "frame_labels": "frame labels"},
        "watermarks": {"sets": [watermark_set]},
        "restore": {"shown": ["two"]},
        "search": {"rate": {"model": "nsfw_detection", "space": {"training.lr0": {"log": [0.001, 0.1]}}}},
    }
    run = project.run("--rulegraph", "--", "all", "datasets", "preview", "restore", "search", *MODELS)
    assert run.returncode == 0, run.output
    edges = read_dot(run.output)
    expected = GRAPH.read_text(encoding="utf-8").splitlines()
    changes = "\n".join(difflib.unified_diff(expected, edges, "written down", "now", lineterm="", n=0))
    assert edges == expected, f"if this is intended, change {GRAPH.name}:\n{changes}"


@pytest.mark.workflow
def test_a_confidence_that_is_a_target_waits_for_the_evaluation_of_its_model(project: Project) -> None:
    project.write_manifest([{"source": "one", "path": "one.mp4"}, {"source": "two", "path": "two.mp4", "use": "restore"}])
    target = {"target": "precision", "at_least": 0.9}
    project.settings = {
        "scores": {"detectors": {"mosaic": {"weights": "trained", "confidence": target}}},
        "preview": {"confidence": target},
        "restore": {"shown": ["two"], "choose": {"confidence": target}},
    }
    run = project.run("--rulegraph", "--", "all", "preview")
    assert run.returncode == 0, run.output
    waiting = {edge.partition(" <- ")[0] for edge in read_dot(run.output) if edge.endswith(" <- evaluate_detector")}
    known = {
        edge.partition(" <- ")[0] for edge in GRAPH.read_text("utf-8").splitlines() if edge.endswith(" <- evaluate_detector")
    }
    users = {
        "make_clips",
        "find_mosaics",
        "render_preview",
        "propose_labels",
        "plot_predictions",
        "plot_failures",
        "evaluate_on_videos",
    }
    assert waiting == known | users


@pytest.mark.workflow
def test_a_local_run_starts_jobs_without_a_limit_per_second(project: Project) -> None:
    # The timers of the limit add up: see `onstart` in the Snakefile.
    project.write_manifest([])
    snakefile = project.folder / "Snakefile"
    snakefile.write_text(
        f"include: {str(project.snakefile)!r}\n\n\nonsuccess:\n    print('the limit is', workflow.scheduler.job_rate_limiter)\n"
    )
    run = project.run("results/sources/withdrawn.tsv", snakefile=snakefile)
    assert run.returncode == 0, run.output
    assert run.jobs == ["remove_withdrawn"]
    assert "the limit is None" in run.output


@pytest.mark.workflow
def test_jobs_that_the_longest_trainings_wait_for_start_first(project: Project) -> None:
    # With a damaged blocklist, the run ends after a few jobs.
    project.settings["missing_sources"] = "leave_out"
    project.write_manifest([{"source": "one", "path": "gone.mp4"}])
    (project.folder / "config" / "blocklist.tsv").write_text("damaged\n")
    project.settings["annotations"] = {"frame_labels": "labels"}
    (project.folder / "labels").mkdir()
    snakefile = project.folder / "Snakefile"
    snakefile.write_text(
        f"include: {str(project.snakefile)!r}\n\n\nonerror:\n"
        "    for job in workflow.dag.jobs:\n"
        "        wait = [workflow.dag.priority(other) for other in workflow.dag.depending[job]]\n"
        "        print('job', job.rule.name, *job.wildcards, workflow.dag.priority(job), max(wait, default=0))\n"
    )
    run = project.run("all", snakefile=snakefile)
    job_lines = re.findall(r"^job (.+) (\d+) (\d+)$", run.output, re.MULTILINE)
    assert len(job_lines) > 50, run.output
    assert all(int(priority) > int(waiting) for _, priority, waiting in job_lines)
    order = [name for name, *_ in sorted(job_lines, key=lambda job: -int(job[1]))]
    for earlier, later in [
        ("import_frame_labels one", "draw_watermarks one"),
        ("write_yolo_dataset nsfw_detection", "draw_watermarks one"),
        ("train_detector nsfw_detection", "train_detector watermark_detection"),
        ("write_clip_dataset mosaic_restoration", "train_detector mosaic_detection"),
        ("train_detector mosaic_detection", "plot_samples nsfw_detection"),
        ("train_stage mosaic_restoration stage2.6", "report"),
    ]:
        assert order.index(earlier) < order.index(later), (earlier, later)


@pytest.mark.parametrize("rule", [rule for rule in RULES if "script:" in RULES[rule]])
def test_a_rule_has_a_script_of_its_name_and_declares_its_dependencies(rule: str) -> None:
    assert f'../scripts/{rule}.py"' in RULES[rule]
    makes = () if rule == "verify" else ("output:", "benchmark:")
    for part in (*makes, "log:", "params:"):
        assert f"\n    {part}" in f"\n{RULES[rule]}", part
    assert f'\n        code=digest_of_script("{rule}"),\n' in RULES[rule]


def rules_of_shards() -> set[str]:
    """Return the rules that have a job per shard in every run: not those of previews, of restoring and of extras."""
    files = [path for path in (REPOSITORY / "workflow" / "rules").glob("*.smk") if path.stem not in {"previews", "restore"}]
    texts = [path.read_text(encoding="utf-8") for path in files]
    return set(re.findall(r'"<benchmarks>/(\w+)/\{shard\}\.jsonl"', "".join(texts)))


def test_a_source_has_at_most_six_jobs() -> None:
    # Planning takes a millisecond or two for each job.
    assert len(rules_of_shards()) <= 6


def test_the_slurm_profile_makes_one_job_of_the_steps_of_a_shard_that_need_no_gpu() -> None:
    profile = yaml.safe_load((REPOSITORY / "profiles" / "slurm" / "config.yaml").read_text(encoding="utf-8"))
    groups = profile["groups"]
    assert {*groups, *profile["set-resources"]} <= RULES.keys()
    assert {rule for rule in groups if groups[rule] == "footage"} == {
        rule for rule in rules_of_shards() if "gpu=" not in RULES[rule]
    }
    # On a cluster, a local rule of a group would be submitted.
    assert not [rule for rule in groups if "gpu=" in RULES[rule] or "localrule:" in RULES[rule]]


def test_the_slurm_profile_has_the_settings_of_the_default_one_but_no_limit_of_cores() -> None:
    default, slurm = (
        yaml.safe_load((REPOSITORY / "profiles" / name / "config.yaml").read_text(encoding="utf-8"))
        for name in ("default", "slurm")
    )
    assert {name: value for name, value in default.items() if slurm.get(name) != value} == {"cores": "all"}
    assert "cores" not in slurm


@pytest.mark.parametrize("rule", ["build_environment", "fetch_weights"])
def test_a_rule_that_needs_the_network_runs_on_the_machine_of_snakemake(rule: str) -> None:
    assert "\n    localrule: True\n" in RULES[rule]


@pytest.mark.parametrize("rule", RULES)
def test_no_rule_declares_the_output_of_another_as_ancient(rule: str) -> None:
    # Snakemake would not rerun the rules after such a file when it is made again: snakemake/snakemake#4166.
    assert "ancient(" not in RULES[rule]


def test_every_script_belongs_to_a_rule() -> None:
    files = [path.read_text(encoding="utf-8") for path in (REPOSITORY / "workflow" / "rules").rglob("*.smk")]
    used = set(re.findall(r'\.\./scripts/(\w+\.py)"', "".join(files)))
    assert {path.name for path in (REPOSITORY / "workflow" / "scripts").glob("*.py")} == used


@pytest.mark.workflow
def test_all_results_of_a_withdrawn_source_are_removed(project: Project) -> None:
    outputs = "".join(re.findall(r"^    output:\n((?: {8}.*\n)+)", "".join(RULES.values()), flags=re.MULTILINE))
    folders = sorted(set(re.findall(r"<results>/([\w/]+)/\{+shard\}+/", outputs)))
    assert {"frames", "labels/frames", "mosaics", "clips", "previews"} <= set(folders)
    for folder in folders:
        for source in ("one", "two"):
            (project.results / folder / source / "kept").mkdir(parents=True)
            (project.results / folder / source / "kept" / "item").touch()
    # A model that learned from the source and is switched off.
    # Rules in loops are not in RULES.
    of_model = sorted({"weights/{model}", *re.findall(r"<results>/([\w/]*\{+model\}+[^/\"]*)", outputs)})
    assert {"metrics/{model}.json", "training/{model}", "exports/{model}", "reports/models/{model}"} <= set(of_model)
    learned = [project.results / path.replace("{model}", "watermark_detection") for path in of_model if "{{" not in path]
    for path in learned:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix:
            path.touch()
        else:
            path.mkdir()
    record = project.results / "training" / "watermark_detection" / RECORD
    record.write_text(Record(identity={}, made_with=[], sources=("two",)).model_dump_json())
    off = {"detectors": {"watermark": {"weights": None}}}
    project.settings = {"models": {"watermark_detection": None}, "regions": off, "scores": off}
    project.write_manifest([{"source": "one", "path": "one.mp4"}])
    run = project.run("results/sources/withdrawn.tsv")
    assert run.returncode == 0, run.output
    assert not any(path.exists() for path in learned)
    assert "no longer in the manifest" in run.output
    lines = (project.results / "sources" / "withdrawn.tsv").read_text(encoding="utf-8").splitlines()
    assert lines[: 1 + len(folders)] == ["path\tstatus", *(f"results/{folder}/two\tremoved" for folder in folders)]
    assert not list(project.results.rglob("two"))
    # Faces stay only where the settings name a set of them.
    lost = [folder for folder in folders if not (project.results / folder / "one" / "kept" / "item").exists()]
    assert lost == ["faces"]
