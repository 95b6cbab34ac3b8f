"""What others read of the demo: the ONNX of its detectors, its samples for FiftyOne, its Croissants. Run `make demo` first."""

import contextlib
import io
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import av
import mlcroissant
import pytest
from PIL import Image

from tessera.learning.detection.offline import offline

RESULTS = Path("examples/demo/results")
FIGURES = ("map50", "map50_95")
NEAR = 0.002  # of these figures; the card's are in rectangles. In squares, the borders of images and so the figures differ.
DETECTORS = [path.parent.name for path in sorted(RESULTS.glob("exports/*/*_detection.onnx"))]
CROISSANTS = [path.parent.name for path in sorted(RESULTS.glob("datasets/*/croissant.json"))]


def test_there_is_something_to_read() -> None:
    assert len(DETECTORS) == 3 and len(CROISSANTS) == 7, "run `make demo` first"


@pytest.mark.parametrize("name", DETECTORS)
def test_the_onnx_finds_what_the_card_states(name: str, tmp_path: Path) -> None:
    offline()
    from ultralytics import YOLO

    card = json.loads((RESULTS / "exports" / name / "card.json").read_text(encoding="utf-8"))
    # Ultralytics leaves a cache beside the labels.
    shutil.copytree(RESULTS / "datasets" / name, tmp_path / name)
    settings = {"data": tmp_path / name / "dataset.yaml", "imgsz": card["export"]["compared"]["image_size"]}
    task = card["metrics"]["task"]

    def measured(suffix: str, split: str, *, is_rectangular: bool) -> dict[str, float]:
        """Return mAP50 and mAP50-95 of the export with this suffix, as ultralytics measures it."""
        with contextlib.redirect_stdout(io.StringIO()):
            model = YOLO((RESULTS / "exports" / name / f"{name}{suffix}").absolute(), task=task)
            shown = {"project": tmp_path, "device": "cpu", "plots": False, "verbose": False}
            found = model.val(**settings, **shown, split=split, rect=is_rectangular)
        kinds = {"box": found.box} | ({"mask": found.seg} if task == "segment" else {})
        return {
            f"{kind} {key}": value for kind, of in kinds.items() for key, value in (("map50", of.map50), ("map50_95", of.map))
        }

    for split, stated in card["metrics"]["splits"].items():
        expected = {f"{kind} {key}": stated[kind][key] for kind in ("box", "mask") if kind in stated for key in FIGURES}
        squares = measured(".pt", split, is_rectangular=False)
        for shape, one in (("card", expected), ("trained, squares", squares)):
            other = measured(".onnx", split, is_rectangular=shape == "card")
            print(f"\n{name}, {split}, {shape} → ONNX: " + ", ".join(f"{key} {one[key]:.4f} → {other[key]:.4f}" for key in one))
            assert all(abs(one[key] - other[key]) <= NEAR for key in one)


def test_every_sample_for_fiftyone_opens_with_the_frames_that_are_listed() -> None:
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--directory", "examples/demo", "--quiet", "all"]
    subprocess.run([*command, "--", "fiftyone"], check=True)
    counts: Counter[str] = Counter()
    for path in sorted(RESULTS.glob("fiftyone/*/samples.json")):
        for sample in json.loads(path.read_text(encoding="utf-8"))["samples"]:
            with av.open(str(path.parent / sample["filepath"])) as container:
                shown = sum(1 for _ in container.decode(video=0))
            if "frames" in sample:
                listed = json.loads((path.parent / sample["frames"]).read_text(encoding="utf-8"))["frames"]
                assert list(listed) == [str(number) for number in range(1, shown + 1)]
                counts[f"{path.parent.name}: frames"] += shown
            counts[f"{path.parent.name}: samples"] += 1
    print("\n" + ", ".join(f"{name} {count:,}" for name, count in counts.items()) + ": all open")
    assert len(counts) == 5


@pytest.mark.parametrize("name", CROISSANTS)
def test_mlcroissant_reads_every_record(name: str) -> None:
    path = RESULTS / "datasets" / name / "croissant.json"
    dataset = mlcroissant.Dataset(str(path))
    assert not dataset.metadata.issues.errors
    counts = {}
    for part in dataset.metadata.record_sets:
        records = list(dataset.records(part.id))
        counts[part.id] = len(records)
        pictures = [value for record in records for value in record.values() if isinstance(value, Image.Image)]
        splits = Counter(str(value) for record in records for key, value in record.items() if key.endswith("split"))
        print(f"\n{name}, {part.id}: {len(records):,} records, {len(pictures):,} pictures {dict(splits)}", end="")
        assert splits.keys() <= {"b'train'", "b'val'", "b'test'"}
    files = [file for pattern in ("*.jpg", "*.png", "*.webp") for file in path.parent.rglob(pattern)]
    assert all(counts.values())
    assert sum(count for part, count in counts.items() if part.endswith((".jpg", ".png", ".webp"))) >= len(files)
