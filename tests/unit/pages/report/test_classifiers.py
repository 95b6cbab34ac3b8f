"""The report of a classifier shows what it reaches, and what it is right and wrong about, blurred where it must be."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from small_report import detail, pictures

from tessera.core.errors import TesseraError
from tessera.extras.classifiers.metrics import measure
from tessera.imaging.images import write_image
from tessera.learning.classification.classifier import Classifier
from tessera.learning.classification.network import build_network, preparation_of
from tessera.learning.classification.settings import Description
from tessera.pages.report.classifiers import choose_examples, draw_examples, tabulate_results
from tessera.records.tables.classification import Predictions
from tessera.records.tables.table import types, write_table

CLASSES = ("plain", "<marked>")


def predictions(sure: list[float], wrong: set[int] = frozenset(), split: str = "val") -> pl.DataFrame:
    """Return a prediction with each of these confidences, of the first class; those of the numbers in `wrong` are wrong."""
    rows = [
        {
            "key": str(number),
            "source": f"s{number % 6}",
            "group": f"s{number % 6}",
            "split": split,
            "fold": None,
            "label": CLASSES[number in wrong],
            "predicted": CLASSES[0],
            "probabilities": [confidence, 1 - confidence],
            "score": None,
            "predicted_score": None,
        }
        for number, confidence in enumerate(sure)
    ]
    return pl.DataFrame(rows, schema=types(Predictions))


def scores(errors: list[float]) -> pl.DataFrame:
    return predictions([1.0] * len(errors)).with_columns(
        label=None, predicted=None, probabilities=[], score=0.5, predicted_score=pl.Series(errors) + 0.5
    )


def test_the_examples_are_the_surest_and_the_least_sure_of_both_kinds_each_once() -> None:
    chosen = choose_examples(predictions([0.9, 0.6, 0.8, 0.7, 0.99, 0.5, 0.55], wrong={0, 1, 2}), 4)
    assert list(chosen.select("group", "key").iter_rows()) == [
        ("wrong and sure", "0"),
        ("wrong and unsure", "1"),
        ("right and unsure", "5"),
        ("right and sure", "4"),
    ]
    assert choose_examples(predictions([0.9, 0.8]), 12)["key"].to_list() == ["1", "0"]
    assert choose_examples(scores([0.1, -0.4, 0.0]), 2)["key"].to_list() == ["1", "2"]


def test_the_results_of_each_class_and_source_are_listed_with_intervals(tmp_path: Path) -> None:
    rows = predictions(np.linspace(0.5, 1, 60).tolist(), wrong=set(range(0, 60, 6)))
    splits = {"val": measure(rows, CLASSES, 0, "val"), "test": measure(rows.head(3), CLASSES, 0, "test")}
    (tmp_path / "metrics.json").write_text(json.dumps({"task": "classes", "epochs": 3, "temperature": 0.8, "splits": splits}))
    (tmp_path / "export.json").write_text(
        json.dumps({"pictures": 4, "tolerance": {"result": 1e-4}, "differences": {"a.onnx": 1e-7}})
    )
    tabulate_results(tmp_path / "metrics.json", tmp_path / "export.json", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    low, high = splits["val"]["intervals"]["accuracy"]
    assert f"<td>accuracy</td><td>0.833</td><td>{low:.3f} to {high:.3f}</td>" in page
    assert "<td>&lt;marked&gt;</td>" in page and "too few sources" in page
    assert page.index("<td>s0</td>") < page.index("<td>s1</td>") < page.index("<td>a.onnx</td>")


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["test_resnet", "test_vit"])
def test_examples_are_drawn_with_a_heat_map_where_there_is_one_and_blurred_unless_they_are_clear(
    architecture: str, tmp_path: Path
) -> None:
    for number in range(3):
        path = tmp_path / "images" / "test" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, np.random.default_rng(number).integers(0, 256, (90, 160, 3), np.uint8))
    write_table(predictions([0.9, 0.8, 0.7], wrong={1}, split="test"), Predictions, tmp_path / "predictions")
    preparation = preparation_of(architecture, 64, "stretch")
    description = Description(labels=CLASSES, architecture=architecture, preparation=preparation)
    classifier = Classifier(description, build_network(description).requires_grad_(False))

    def draw(clear: set[str]) -> Any:
        draw_examples(classifier, tmp_path / "predictions", tmp_path / "images", clear, 4, tmp_path / "sheet.html")
        return pictures(tmp_path / "sheet.html")

    clear, blurred = draw({"0", "1", "2"}), draw(set())
    assert detail(blurred[0]) < detail(clear[0]) / 2
    # Each of three pictures is followed by its heat map.
    assert len(clear) == len(blurred) == (6 if architecture == "test_resnet" else 3)
    (tmp_path / "images" / "test" / "1.png").unlink()
    with pytest.raises(TesseraError, match="delete the folder"):
        draw(set())
