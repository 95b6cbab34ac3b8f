"""What a detector found and missed: matching, metrics from the tables, and their confidence intervals."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tessera.core.errors import TesseraError
from tessera.learning.detection.offline import offline
from tessera.learning.intervals import RESAMPLES, draws, interval
from tessera.records.tables.evaluation import Detections, Objects
from tessera.records.tables.splits import Splits
from tessera.records.tables.table import types, write_table
from tessera.stages.detectors.cases import count_cases, estimate, intervals_of
from tessera.stages.detectors.measure import Contender, class_numbers

SOURCES = [f"source {number}" for number in range(7)]
BOX = {"x0": 0.0, "y0": 0.0, "x1": 9.0, "y1": 9.0}


def make_cases(seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return objects of two classes in images of `SOURCES`, and detections, of which those of some sources are better."""
    generator = np.random.default_rng(seed)
    objects, detections = [], []
    for place, source in enumerate(SOURCES):
        for image in range(3):
            shared = {"model": "mine", "kind": "box", "split": "val", "key": f"{source}-{image}", "source": source, **BOX}
            labels = generator.choice(["a", "b"], 3)
            found = generator.random(3) < 0.3 + 0.1 * place
            scores = generator.random(3)
            for number in range(3):
                score = float(scores[number]) if found[number] else None
                row = {"number": number, "label": labels[number], "area": 81.0, "side": 9.0, "score": score}
                objects.append({**shared, **row, "iou": score and 0.7})
            rows = [(labels[number], scores[number], number) for number in range(3) if found[number]]
            rows += [(label, score, -1) for label, score in zip(["a", "b"], generator.random(2), strict=True)]
            for number, (label, score, matched) in enumerate(sorted(rows, key=lambda row: -row[1])):
                row = {"number": number, "label": label, "score": float(score), "iou": 0.7, "matched": matched}
                detections.append({**shared, **row})
    return pl.DataFrame(objects, schema=types(Objects)), pl.DataFrame(detections, schema=types(Detections))


def average_precision(rows: list[tuple[float, bool]], objects: int) -> float:
    """Return the area under the curve of precision by recall, at 101 recalls, of (score, whether an object was found)."""
    recall, precision = [0.0], [1.0]
    found = 0
    for rank, (_, is_right) in enumerate(sorted(rows, key=lambda row: -row[0]), 1):
        found += is_right
        recall.append(found / objects)
        precision.append(found / rank)
    recall += [recall[-1] if rows else 1.0, 1.0]
    precision += [0.0, 0.0]
    falling = [max(precision[place:]) for place in range(len(precision))]
    heights = np.interp(np.linspace(0, 1, 101), recall, falling)
    return float(sum((heights[1:] + heights[:-1]) / 2) / 100)


def obvious_map(objects: pl.DataFrame, detections: pl.DataFrame, chosen: list[str]) -> float:
    """Return mAP50 of the sources in `chosen`, in which a source may be several times."""
    values = []
    for label in ("a", "b"):
        count, rows = 0, []
        for source in chosen:
            count += len(objects.filter(source=source, label=label))
            rows += [
                (row["score"], row["matched"] >= 0)
                for row in detections.filter(source=source, label=label).iter_rows(named=True)
            ]
        if count:
            values.append(average_precision(rows, count))
    return float(np.mean(values))


def test_the_interval_equals_an_obvious_bootstrap_through_the_tables(tmp_path: Path) -> None:
    objects, detections = make_cases()
    files = [tmp_path / name for name in ("objects.parquet", "detections.parquet", "splits.parquet")]
    keys = objects.select("key", "source").unique(maintain_order=True).with_columns(split=pl.lit("val"))
    for frame, schema, file in zip((objects, detections, keys), (Objects, Detections, Splits), files, strict=True):
        write_table(frame, schema, file)
    drawn = draws(len(SOURCES), 3, "val")
    counted = count_cases(objects, detections, "mine", "box", "val", SOURCES)
    assert counted is not None
    found = estimate(counted, drawn)["map50"]
    assert found.value == pytest.approx(obvious_map(objects, detections, SOURCES), abs=1e-6)
    for draw in (0, 1, 500, RESAMPLES - 1):
        chosen = [source for source, times in zip(SOURCES, drawn[draw], strict=True) for _ in range(times)]
        assert len(chosen) == len(SOURCES)
        assert found.drawn[draw] == pytest.approx(obvious_map(objects, detections, chosen), abs=1e-6)
    stated = intervals_of(*files, "mine", "val", 3)
    assert stated["sources"] == len(SOURCES)
    assert stated["intervals"]["box"]["map50"] == pytest.approx(interval(found.drawn, len(SOURCES)), abs=1e-6)
    low, high = stated["intervals"]["box"]["map50"]
    assert low < found.value < high


def test_too_few_sources_are_stated_in_words(tmp_path: Path) -> None:
    objects, detections = (frame.filter(pl.col("source").is_in(SOURCES[:3])) for frame in make_cases())
    files = [tmp_path / name for name in ("objects.parquet", "detections.parquet", "splits.parquet")]
    keys = objects.select("key", "source").unique(maintain_order=True).with_columns(split=pl.lit("val"))
    for frame, schema, file in zip((objects, detections, keys), (Objects, Detections, Splits), files, strict=True):
        write_table(frame, schema, file)
    assert intervals_of(*files, "mine", "val", 0) == {"sources": 3, "intervals": "too few sources for an interval (3)"}


def test_classes_are_matched_by_name_and_a_model_of_other_classes_is_refused() -> None:
    theirs = Contender("theirs", Path("theirs.pt"))
    assert class_numbers(theirs, ["sfw", "dog", "nsfw"], ["nsfw", "sfw"], is_single=False) == [1, -1, 0]
    assert class_numbers(theirs, ["sfw", "item"], ["nsfw", "sfw"], is_single=True) == [0, 0]
    stated = Contender("theirs", Path("theirs.pt"), classes={"mosaic": "nsfw"})
    assert class_numbers(stated, ["mosaic"], ["nsfw", "sfw"], is_single=False) == [0]
    with pytest.raises(TesseraError, match=r"theirs finds 'mosaic', and the dataset has 'nsfw', 'sfw'.*mosaic: nsfw"):
        class_numbers(theirs, ["mosaic"], ["nsfw", "sfw"], is_single=False)


def test_a_detector_with_one_class_of_another_name_is_compared_if_the_settings_say_what_it_means() -> None:
    weights = Path("published.pt")
    with pytest.raises(TesseraError, match=r"finds 'item', and the dataset has 'watermark'.*classes: {item: watermark}"):
        class_numbers(Contender("published", weights), ["item"], ["watermark"], is_single=False)
    for classes in ({"item": "watermark"}, {"*": "watermark"}):
        assert class_numbers(Contender("published", weights, classes=classes), ["item"], ["watermark"], is_single=False) == [0]
    other = Contender("published", weights, classes={"*": "sfw", "dog": None})
    assert class_numbers(other, ["nsfw", "dog", "cat"], ["nsfw", "sfw"], is_single=False) == [0, -1, 1]
    wrong = Contender("published", weights, classes={"itme": "watermark"})
    with pytest.raises(TesseraError, match="`classes` has 'itme', and it finds 'item'; did you mean 'item'"):
        class_numbers(wrong, ["item"], ["watermark"], is_single=False)


@pytest.mark.slow
def test_a_detection_finds_the_best_object_that_no_more_confident_one_found(tmp_path: Path) -> None:
    offline()
    import torch

    from tessera.stages.detectors.validators import BoxValidator

    validator = BoxValidator(args={"mode": "val"}, save_dir=tmp_path)
    generator = np.random.default_rng(0)
    several = 0
    for _ in range(200):
        objects, detections = generator.integers(1, 5), generator.integers(1, 7)
        iou = generator.uniform(0.2, 1, (objects, detections))
        labels, classes = generator.integers(0, 2, objects), generator.integers(0, 2, detections)
        validator._computed = []
        validator.match_predictions(torch.tensor(classes), torch.tensor(labels), torch.tensor(iou))
        ((_, detection_of),) = validator._computed
        expected = [-1] * objects
        for detection in range(detections):
            free = [place for place in range(objects) if expected[place] < 0 and labels[place] == classes[detection]]
            best = max(free, key=lambda place: iou[place, detection], default=None)
            if best is not None and iou[best, detection] >= 0.5:
                expected[best] = detection
        assert detection_of.tolist() == expected
        several += sum(place >= 0 for place in expected) > 1
    assert several > 50
