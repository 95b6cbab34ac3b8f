"""A trained classifier is measured, exported, explained and verified, and a wrong export is an error."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classification_dataset import CLASSES, make_digits, make_pictures
from tessera.core import log
from tessera.core.errors import TesseraError
from tessera.extras.classifiers.evaluate import evaluate_classifier, evaluate_folds
from tessera.extras.classifiers.export import export_classifier, export_for_city, verify_classifier_export
from tessera.extras.classifiers.settings import ClassifierSettings
from tessera.extras.classifiers.train import train_classifier
from tessera.imaging.images import read_image
from tessera.learning.classification.classifier import read_classifier, write_classifier
from tessera.learning.trainings import RECORD, Trainings
from tessera.records.tables.classification import Predictions
from tessera.records.tables.table import read_table

pytestmark = pytest.mark.slow
KINDS: dict[str, dict[str, Any]] = {
    "classes": {"labels": CLASSES, "architecture": "test_resnet", "image_size": 32, "resize": "crop"},
    "score": {"labels": {"most": 14}, "architecture": "test_convnext", "image_size": 32, "resize": "pad"},
    "head": {"labels": tuple(map(str, range(10))), "architecture": "head", "embedding": "pixels", "hidden": 32},
    "score_head": {"labels": {"least": -1, "most": 14}, "architecture": "head", "embedding": "pixels", "hidden": 32},
}


@dataclass(frozen=True)
class Exported:
    folder: Path
    dataset: Path
    vectors: Path | None
    settings: ClassifierSettings

    @property
    def best(self) -> Path:
        return self.folder / "best.safetensors"

    @property
    def city(self) -> Path | None:
        return self.folder / "city.safetensors" if self.vectors else None

    def verify(self, report: Path, **changed: Path) -> None:
        files = {
            "safetensors": self.folder / "model.safetensors",
            "onnx": self.folder / "model.onnx",
            "city": self.city,
            **changed,
        }
        verify_classifier_export(
            self.dataset,
            self.vectors,
            self.best,
            **files,
            report=report,
            settings=self.settings,
            threads=1,  # type: ignore[arg-type]
        )


@pytest.fixture(scope="module", params=KINDS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp(request.param)
    training = {"epochs": 4, "batch": 16, "learning_rate": 3e-3}
    settings = ClassifierSettings(**KINDS[request.param], training=training)
    vectors = folder / "vectors.parquet" if "head" in request.param else None
    if vectors and settings.classes:
        dataset = make_digits(folder / "dataset", vectors, (100, 60, 60))
    else:
        dataset = make_pictures(folder / "dataset", scored=not settings.classes)
        if vectors:
            from classification_dataset import write_vectors

            files = sorted((dataset / "images").glob("*/*"))
            values = np.stack([read_image(file).mean(axis=(0, 1)) / 255 for file in files])
            write_vectors(vectors, [file.stem for file in files], values)
    files = [folder / name for name in ("best.safetensors", "curves.csv", RECORD)]
    train_classifier(dataset, vectors, None, *files, Trainings(folder / "runs"), settings, seed=0, threads=1, code="")
    export_classifier(files[0], folder / "model.safetensors", folder / "model.onnx", opset=17)
    made = Exported(folder, dataset, vectors, settings)
    if made.city:
        export_for_city(files[0], "Digits", made.city, folder / "city.config.json")
    return made


def test_exports_give_the_results_of_the_trained_classifier(exported: Exported, tmp_path: Path) -> None:
    exported.verify(tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    names = {"model.safetensors", "model.onnx", *(["city.safetensors"] if exported.city else [])}
    assert set(report["differences"]) == names and max(report["differences"].values()) < 1e-5
    assert report["pictures"] > 3 and set(report["versions"]) >= {"torch", "timm", "onnxruntime"}


def test_equal_classifiers_give_equal_exports(exported: Exported, tmp_path: Path) -> None:
    export_classifier(exported.best, tmp_path / "again.safetensors", tmp_path / "again.onnx", opset=17)
    for suffix in ("safetensors", "onnx"):
        assert (tmp_path / f"again.{suffix}").read_bytes() == (exported.folder / f"model.{suffix}").read_bytes()
    assert str(exported.folder).encode() not in (exported.folder / "model.onnx").read_bytes()


def test_the_onnx_model_states_what_its_user_must_know(exported: Exported) -> None:
    import onnx

    model = onnx.load(exported.folder / "model.onnx")
    metadata = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert metadata["tessera.labels"] == exported.settings.model_dump(mode="json")["labels"]
    if exported.vectors is None:
        inside = {"colours": "RGB", "range": [0, 1], "normalised_inside": True}
        wanted = {"size": 32, "resize": exported.settings.resize, "interpolation": "bilinear", **inside}
        assert metadata["tessera.input"] == wanted and model.graph.input[0].name == "pictures"
    else:
        assert metadata["tessera.input"]["embedding"] == "pixels" and model.graph.input[0].name == "vectors"


def test_an_export_that_differs_is_an_error_with_the_difference(exported: Exported, tmp_path: Path) -> None:
    import torch

    classifier = read_classifier(exported.best)
    weights = dict(classifier.network.state_dict())
    last = list(weights)[-1]
    other = {**weights, last: weights[last] + torch.arange(len(weights[last]) or 1) + 0.5}
    write_classifier(tmp_path / "other.safetensors", classifier.description, other)
    export_classifier(tmp_path / "other.safetensors", tmp_path / "copy.safetensors", tmp_path / "other.onnx", opset=17)
    for name in ("safetensors", "onnx"):
        with pytest.raises(TesseraError, match=rf"results differ by [0-9.e-]+ in other\.{name} \(allowed: 0\.0001\)"):
            exported.verify(tmp_path / "report.json", **{name: tmp_path / f"other.{name}"})
    assert not (tmp_path / "report.json").exists()


def test_city_classifiers_load_the_pair_of_files(exported: Exported, tmp_path: Path) -> None:
    """The predictor of CityClassifiers loads the weights strictly and gives the same results."""
    if exported.city is None:
        with pytest.raises(TesseraError, match="is no head"):
            export_for_city(exported.best, "x", tmp_path / "x.safetensors", tmp_path / "x.config.json")
        return
    import torch

    from city_predictor import load_predictor

    config = json.loads((exported.folder / "city.config.json").read_text())
    assert set(config) == {"name", "rev", "arch", "labels", "model_params"}
    # A file of theirs, which states no labels, is declared with them, and sees the same.
    declared = read_classifier(exported.city, labels=exported.settings.labels)
    with pytest.raises(TesseraError, match="was exported by Tessera and states its labels"):
        read_classifier(exported.best, labels=exported.settings.labels)
    with pytest.raises(TesseraError, match=r"outputs?, and `labels` states 3; correct it"):
        read_classifier(exported.city, labels=("a", "b", "c"))
    predictor = load_predictor(exported.city)
    classifier = read_classifier(exported.best)
    vectors = np.random.default_rng(0).normal(0, 1, (50, config["model_params"]["features"])).astype(np.float32)
    with torch.no_grad():
        found = predictor(torch.from_numpy(vectors)).numpy()
    if exported.settings.classes:
        assert config["arch"] == "class" and config["labels"] == {str(number): str(number) for number in range(10)}
        assert classifier.description.temperature != 1
    else:
        assert config["arch"] == "score" and config["labels"] is None
        found = -1 + 15 * found
    for each in (classifier, declared):
        assert np.abs(found - each.predict_vectors(vectors)).max() < 1e-5
    # In units of their outputs, which is what both compute.
    assert np.abs(found - classifier.predict_vectors(vectors)).max() / (15 if not exported.settings.classes else 1) < 1e-6


def test_an_evaluation_writes_metrics_predictions_and_figures(exported: Exported, tmp_path: Path) -> None:
    def evaluate(folder: Path) -> None:
        folder.mkdir()
        names = ("metrics.json", "predictions.parquet", "figures")
        arguments = [exported.best, exported.folder / "curves.csv", *(folder / name for name in names)]
        evaluate_classifier(exported.dataset, exported.vectors, *arguments, exported.settings, seed=0, threads=1)

    evaluate(tmp_path / "a")
    evaluate(tmp_path / "b")
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)
    content = json.loads((tmp_path / "a/metrics.json").read_text())
    assert set(content["splits"]) == {"val", "test"} and content["epochs"] == 4
    kind = {"epochs.svg"} | (
        {f"{figure}_{split}.svg" for figure in ("confusion", "calibration", "precision_recall") for split in ("val", "test")}
        if exported.settings.classes
        else {"scores_val.svg", "scores_test.svg"}
    )
    assert {path.name for path in (tmp_path / "a/figures").iterdir()} == kind
    rows = read_table(tmp_path / "a/predictions.parquet", Predictions)
    assert content["splits"]["test"]["pictures"] == len(rows.filter(split="test"))
    if exported.settings.classes:
        for split in ("val", "test"):
            part = rows.filter(split=split)
            assert content["splits"][split]["accuracy"] == pytest.approx((part["label"] == part["predicted"]).mean(), abs=1e-6)
    evaluate_folds(tmp_path / "a/predictions.parquet", tmp_path / "folds.json", exported.settings.labels, seed=0)
    folds = json.loads((tmp_path / "folds.json").read_text())
    assert folds["splits"]["out_of_fold"]["pictures"] == len(rows)
    (only,) = folds["each_fold"].values()
    assert only["pictures"] == len(rows) and all(folds["splits"]["out_of_fold"][name] == value for name, value in only.items())


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_terminal", io.StringIO())
