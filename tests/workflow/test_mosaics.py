"""Mosaics in a real run: what a setting reruns, and that neither shards nor cores change a byte."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from projects import REPOSITORY, Project

from tessera.core.ledger import read_ledger
from tessera.imaging.images import write_image
from tessera.imaging.masks import encode_rle
from tessera.records.tables.annotation import Annotations
from tessera.records.tables.footage import Frames
from tessera.records.tables.table import types, write_table

pytestmark = pytest.mark.workflow
HEIGHT, WIDTH = 96, 128
# Up to the mosaics, what was chosen in the frames being given.
SNAKEFILE = f"""
configfile: "config/config.yaml"

pathvars:
    logs="results/logs",
    benchmarks="results/benchmarks",

include: "{REPOSITORY}/workflow/rules/common.smk"
include: "{REPOSITORY}/workflow/rules/sources.smk"
include: "{REPOSITORY}/workflow/rules/annotations.smk"
include: "{REPOSITORY}/workflow/rules/frames.smk"
include: "{REPOSITORY}/workflow/rules/mosaics.smk"

rule all:
    default_target: True
    input:
        expand("<results>/mosaics/{{shard}}/images.parquet", shard=SHARDS),
"""


def choose(project: Project, shards: dict[str, list[str]]) -> None:
    """Say for each shard that the first two frames of its sources have regions, and the others none."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.ellipse(mask, (60, 50), (45, 35), 10, 0, 360, 255, -1)
    known = {"number": 0, "label": "nsfw", "rle": encode_rle(mask), "x0": 0.0, "y0": 0.0, "x1": 0.0, "y1": 0.0, "crowd": False}
    for shard, sources in shards.items():
        folder = project.results / "regions" / shard
        folder.mkdir(parents=True, exist_ok=True)
        regions = [{**dict.fromkeys(types(Annotations)), **known, "key": f"{s}-{n:07d}"} for s in sources for n in (0, 1)]
        empty = {"source": "", "index": 0, "file": "", "width": 1, "height": 1, "phash": 0}
        clean = [{**dict.fromkeys(types(Frames)), **empty, "key": f"{s}-{n:07d}"} for s in sources for n in (2, 3)]
        write_table(pl.DataFrame(regions, schema=types(Annotations)), Annotations, folder / "regions.parquet")
        write_table(pl.DataFrame(clean, schema=types(Frames)), Frames, folder / "backgrounds.parquet")


def begin(project: Project) -> Path:
    for seed, source in enumerate(("one", "two")):
        (project.folder / source).mkdir()
        for number in range(4):
            coarse = np.random.default_rng((seed, number)).integers(0, 256, (12, 16, 3), np.uint8)
            image = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
            write_image(project.folder / source / f"{number}.png", image)
    project.write_manifest([{"source": source, "path": source} for source in ("one", "two")])
    project.settings["mosaics"] = {"backgrounds": 1.0}
    choose(project, {"one": ["one"], "two": ["two"]})
    path = project.folder / "Snakefile"
    path.write_text(SNAKEFILE)
    return path


def samples(project: Project) -> dict[str, bytes]:
    found = project.results.glob("mosaics/*/*/[!.]*")
    return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in found}


def test_a_setting_makes_mosaics_again_and_nothing_before_them(project: Project) -> None:
    snakefile = begin(project)
    run = project.run(snakefile=snakefile)
    assert run.returncode == 0, run.output
    both = ["pixelate_frames one", "pixelate_frames two"]
    assert set(both) < set(run.jobs)
    before = samples(project)
    assert len(before) == 16
    for ledger in ("ledger", "mosaics", "masks"):
        rows = read_ledger(project.results / "mosaics" / "one" / f"{ledger}.jsonl")
        assert [row["status"] for row in rows] == ["ok"] * (2 if ledger == "mosaics" else 4)
    annotations = pl.read_parquet(project.results / "mosaics" / "one" / "annotations.parquet")
    assert set(annotations["key"]) == {"one-0000000", "one-0000001"}
    assert set(annotations["label"]) == {"nsfw"}

    assert project.run(snakefile=snakefile).jobs == []
    project.settings["mosaics"]["anchor"] = "region"
    assert project.run(snakefile=snakefile).jobs == both
    project.settings["annotations"] = {"min_area": 20}
    assert [job for job in project.run(snakefile=snakefile).jobs if "pixel" in job] == both
    project.settings = {"mosaics": {"backgrounds": 1.0}}
    assert project.run(snakefile=snakefile, cores=1).jobs == both
    assert samples(project) == before


def test_shards_do_not_change_a_byte(project: Project) -> None:
    snakefile = begin(project)
    assert project.run(snakefile=snakefile).returncode == 0
    before = samples(project)
    project.settings["shards"] = 1
    choose(project, {"shard-0": ["one", "two"]})
    run = project.run(snakefile=snakefile, cores=1)
    assert run.returncode == 0, run.output
    together = samples(project)
    shutil.rmtree(project.results / "mosaics" / "one")
    shutil.rmtree(project.results / "mosaics" / "two")
    assert samples(project) == together == before
