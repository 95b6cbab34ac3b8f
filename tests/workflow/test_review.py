"""`snakemake review` gathers what can be decided, serves the page until Ctrl-C, and a decision changes the next run."""

import json
import os
import re
import shutil
import signal
import urllib.request
from pathlib import Path

import pytest
import small_pipeline
from projects import Project

from tessera.core.ledger import read_ledger
from tessera.core.provenance import sha256_file
from tessera.records.tables.review import CLIPS, FALSE_POSITIVES, FRAMES, REGIONS, ReviewItems
from tessera.records.tables.table import read_table

pytestmark = pytest.mark.workflow


def ask(address: str, body: dict[str, object] | None = None) -> dict[str, object]:
    """Return the answer of the page at `address`, as a script of the page gets it."""
    sent = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(address, sent, {"Content-Type": "application/json"})) as answer:
        return json.load(answer)


def test_what_can_be_decided_is_gathered_served_and_used(project: Project, weights: Path) -> None:
    rows = small_pipeline.begin(project)
    project.write_manifest([*rows, {**small_pipeline.add_source(project, "empty"), "split": "train", "free_of": "nsfw"}])
    shutil.rmtree(project.folder / "labels" / "empty")
    shutil.copy(weights, project.folder / "weights.pt")
    detector = {"weights": {"source": "weights.pt", "sha256": sha256_file(weights)}, "confidence": 0.05, "image_size": 64}
    project.settings["models"] |= {"watermark_detection": None}
    project.settings["regions"] = {
        "detectors": {"nsfw": {**detector, "max_regions": 4}, "watermark": {**detector, "image_size": 32}},
        "choose": {"confidence": {"nsfw": 0.06, "watermark": 0.5}, "min_side": {"nsfw": 4, "watermark": 4}},
    }
    project.settings["scenes"]["detect"] = {**detector, "every_frames": 3, "max_regions": 4}
    project.settings["scores"]["detectors"] = {"watermark": {**detector, "image_size": 32, "confidence": 0.9}}
    run = project.run("make_proxies")
    assert run.returncode == 0, run.output
    items = read_table(project.results / "review" / "items.parquet", ReviewItems)
    assert set(items["queue"]) == {CLIPS, FRAMES, REGIONS, FALSE_POSITIVES}
    assert set(items.filter(queue=FALSE_POSITIVES)["source"]) == {"empty"}
    clips = items.filter(queue=CLIPS)
    proxies = read_ledger(project.results / "review" / "proxies.jsonl")
    assert [row["key"] for row in proxies if row["status"] == "ok" and not row["reason"]] == clips["key"].to_list()
    assert len(list((project.results / "review" / "proxies").glob("*.mp4"))) == clips.height
    assert all((project.folder / path).is_file() for path in items["picture"].to_list() + items["clip"].to_list() if path)

    process = project.start("review")
    lines = []
    while not (address := re.search(rb"http://\S+", line := process.stdout.readline())):
        lines.append(line)
        assert line, b"".join(lines).decode()
    url = address[0].decode()
    version = ask(f"{url}api/state")["version"]
    numbered = items.with_row_index()
    (index,) = numbered.filter(queue=FALSE_POSITIVES)["index"].head(1)
    (of_region,) = numbered.filter(queue=REGIONS, source="amber", state="kept")["index"].head(1)
    ask(f"{url}api/decide", {"version": version, "ids": [index], "action": "negative"})
    ask(f"{url}api/decide", {"version": version, "ids": [of_region], "action": "drop"})
    planned = {rule for rule, _ in ask(f"{url}api/run")["jobs"]}
    assert {"import_frame_labels", "make_mosaic_samples"} <= planned and "sample_frames" not in planned
    os.killpg(process.pid, signal.SIGINT)
    printed = process.communicate(timeout=60)[0].decode()
    assert "Traceback" not in printed

    key = items.row(index, named=True)["key"]
    assert key in (project.folder / "config" / "decisions.tsv").read_text()
    run = project.run("results/selections/nsfw_detection/images.parquet", "results/regions/amber/detections.jsonl")
    assert run.returncode == 0, run.output
    ledger = read_ledger(project.results / "regions" / "amber" / "detections.jsonl")
    frame = items.row(of_region, named=True)["key"].partition("+")[0]
    (row,) = (row for row in ledger if row["reason"] == "dropped by decision")
    assert row["key"].startswith(f"{frame}#nsfw-")
    assert "import_frame_labels empty" in run.jobs and "import_frame_labels amber" not in run.jobs
    assert key in (project.results / "selections" / "nsfw_detection" / "ledger.jsonl").read_text()
