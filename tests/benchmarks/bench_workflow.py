"""The time of planning, and of the demo from a fresh clone."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
FLOORS = {"nsfw_detection": ("mask", 0.6), "watermark_detection": ("box", 0.5), "mosaic_detection": ("mask", 0.6)}


def timed(command: list[str], folder: Path) -> tuple[float, str]:
    """Run `command` in `folder`, which must succeed, and return the seconds and the output."""
    start = time.monotonic()
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    output = process.stdout + process.stderr
    assert process.returncode == 0, output[-3000:]
    return time.monotonic() - start, output


@pytest.mark.parametrize(("count", "shards", "floor"), [(1000, "per_source", 12), (10_000, 100, 20)])
def test_many_sources_of_equal_size_are_planned_in_seconds(tmp_path: Path, count: int, shards: object, floor: int) -> None:
    sources = ["source\tpath\tcontent\trights"]
    for number in range(count):
        (tmp_path / f"{number}.mp4").write_text(f"{number:08}")
        sources.append(f"source {number}\t{number}.mp4\tgeneral\tCC0")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text(f"shards: {shards}\n")
    (tmp_path / "config" / "sources.tsv").write_text("\n".join(sources) + "\n")
    (tmp_path / "config" / "blocklist.tsv").symlink_to(REPOSITORY / "config" / "blocklist.tsv")
    command = [sys.executable, "-m", "snakemake", "-n", "-q", "--snakefile", str(REPOSITORY / "Snakefile"), "--cores", "2"]
    seconds, _ = timed([*command, "--directory", str(tmp_path)], tmp_path)
    print(f"\nplanning {count:,} sources of equal size, shards: {shards}: {seconds:.1f} s (floor: {floor})")
    assert seconds <= floor


def test_the_demo_from_a_fresh_clone_takes_6_minutes_and_a_second_run_4_seconds(tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(tmp_path / "clone")], check=True)
    clone = tmp_path / "clone"
    results = clone / "examples" / "demo" / "results"
    start = time.monotonic()
    # Two quiet cores, and packages from uv's cache.
    subprocess.run(["make", "demo"], cwd=clone, check=True, stdout=subprocess.DEVNULL)
    minutes = (time.monotonic() - start) / 60
    again, output = timed([".venv/bin/snakemake", "--cores", "2", "--directory", "examples/demo"], clone)
    print(f"\ndemo from a fresh clone: {minutes:.1f} min (floor: 6); a second run: {again:.1f} s (floor: 4)")
    reached = {}
    for model, (kind, floor) in FLOORS.items():
        metrics = json.loads((results / "metrics" / f"{model}.json").read_text())
        reached[model] = metrics["splits"]["val"][kind]["map50"]
        print(f"{model}: {kind} mAP50 {reached[model]:.3f} on validation (floor: {floor:g})")
    metrics = json.loads((results / "metrics" / "mosaic_restoration.json").read_text())
    psnr = {name: means["psnr"] for name, means in metrics["splits"]["val"]["all"]["region"].items()}
    print(f"mosaic_restoration: PSNR of the region on validation, dB: {psnr} (floor: 0.5 above each other method)")
    assert psnr.pop("restored") >= max(psnr.values()) + 0.5
    assert all(reached[model] >= floor for model, (_, floor) in FLOORS.items())
    assert "othing to be done" in output
    assert minutes <= 6
    assert again <= 4
