"""From clips to selected clips in a real run, and what a change reruns."""

from pathlib import Path

import numpy as np
import pytest
from clip_tables import clip, score, write_clips, write_scores
from projects import Project

from tessera.core.ledger import read_ledger
from tessera.imaging.images import write_image
from tessera.records.tables.clips import Clips, Scores
from tessera.records.tables.table import read_table

RULES = ("common", "sources", "filters")
HEADER = "key\tdecision\treason\twho\twhen\n"
FILTER = "filter_clips mosaic_restoration"
TARGET = "results/selections/mosaic_restoration/clips.parquet"


@pytest.fixture
def snakefile(project: Project) -> Path:
    """A workflow with finished clips and scores, because filters depend on nothing else."""
    for number, name in enumerate(("cat", "dog")):
        write_image(project.folder / f"{name}.png", np.full((32, 32, 3), 100 * number, np.uint8))
        keys = [f"{name}-{first:07}-1" for first in (0, 100)]
        write_clips(project.results / "clips" / name, [clip(key, 12) for key in keys], {})
        scores = [score(key, hashes=[2**60 * number + place]) for place, key in enumerate(keys)]
        write_scores(project.results / "clips" / name / "scores.parquet", scores)
    project.write_manifest([{"source": name, "path": f"{name}.png"} for name in ("cat", "dog")])
    for stage in ("scenes", "clips"):
        (project.results / "gates").mkdir(exist_ok=True)
        (project.results / "gates" / f"{stage}.json").write_text("{}")
    project.settings = {"filters": {"max_watermark": None, "duplicates": None}}
    return project.write_snakefile(RULES)


@pytest.mark.workflow
def test_a_threshold_or_a_decision_reruns_only_the_filters(project: Project, snakefile: Path) -> None:
    folder = project.results / "selections" / "mosaic_restoration"
    decisions = project.folder / "config" / "decisions.tsv"

    def run() -> tuple[list[str], list[str]]:
        run = project.run(TARGET, snakefile=snakefile)
        assert run.returncode == 0, run.output
        return run.jobs, read_table(folder / "clips.parquet", Clips)["key"].to_list()

    jobs, kept = run()
    assert FILTER in jobs
    assert kept == ["cat-0000000-1", "cat-0000100-1", "dog-0000000-1", "dog-0000100-1"]
    scores = read_table(folder / "scores.parquet", Scores)
    assert scores["key"].to_list() == kept
    assert run() == ([], kept)

    decisions.write_text(HEADER + "dog-0000000-1\tdrop\tdark\tAda\t2026-01-31\ncat-0000999-1\tdrop\t\tAda\t2026-01-31\n")
    assert run() == ([FILTER], [key for key in kept if key != "dog-0000000-1"])
    rows = {row["key"]: (row["status"], row["reason"]) for row in read_ledger(folder / "ledger.jsonl")}
    assert rows["dog-0000000-1"] == ("dropped", "dropped by decision")
    matched = {row["key"]: row["status"] for row in read_ledger(folder / "decisions.jsonl")}
    assert matched == {"cat-0000999-1": "dropped", "dog-0000000-1": "ok"} and rows.keys() & matched == {"dog-0000000-1"}
    decisions.write_text("# of this week\n" + decisions.read_text() + "cat-0000003\tdrop\tof a frame\tAda\t2026-01-31\n")
    assert run()[0] == []

    project.settings["filters"]["min_brightness"] = 0.9
    decisions.write_text(HEADER + "dog-0000000-1\tkeep\t\tAda\t2026-01-31\n")
    assert run() == ([FILTER], ["dog-0000000-1"])
    decisions.unlink()
    run_ = project.run(TARGET, snakefile=snakefile)
    assert run_.returncode != 0
    assert "no clip left of 4: too dark (4)" in run_.output
    project.settings["filters"]["min_brightness"] = None
    assert run() == ([FILTER], kept)


@pytest.mark.workflow
def test_faults_of_the_decisions_stop_a_run_before_any_job(project: Project, snakefile: Path) -> None:
    decisions = project.folder / "config" / "decisions.tsv"
    decisions.write_text(HEADER + "a\tdelete\t\tAda\t2026-01-31\nb\tkeep\t\t\tsoon\n")
    run = project.run(TARGET, snakefile=snakefile)
    assert run.returncode != 0
    assert run.jobs == []
    for fault in ("config/decisions.tsv has 3 faults", "line 2: decision", "line 3: who", "line 3: when"):
        assert fault in run.output
    decisions.unlink()
    project.settings["decisions"] = "elsewhere.tsv"
    run = project.run(TARGET, snakefile=snakefile)
    assert "elsewhere.tsv: no such table of decisions" in run.output
