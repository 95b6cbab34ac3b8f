"""A search of a classifier: the metric of the weights that are kept, and settings to paste that give it again."""

import csv
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from classification_dataset import CLASSES, checksum, make_pictures
from tessera.core.errors import TesseraError
from tessera.extras.classifiers.search import metric_by_epoch, search_classifier
from tessera.extras.classifiers.settings import ClassifierSettings
from tessera.extras.classifiers.train import train_classifier
from tessera.learning.search import SearchSettings, changed
from tessera.learning.trainings import RECORD, Trainings, listening
from tessera.records.tables.classification import Pictures
from tessera.records.tables.search import Trials
from tessera.records.tables.table import read_table, write_table

SETTINGS = ClassifierSettings(
    labels=CLASSES,
    architecture="test_resnet",
    image_size=16,
    training={"epochs": 3, "batch": 12, "learning_rate": 1e-3},
)
SEARCH = SearchSettings(
    model="marks",
    trials=4,
    prune={"trials": 2, "epochs": 0},
    space={
        "training.learning_rate": {"log": [1e-3, 1e30]},
        "training.schedule": ["cosine", "constant"],
        "augmentation.flip": {"from": 0, "to": 0.5},
    },
)
FILES = ("trials.parquet", "trials.tsv", "search.json", "best.yaml")


def search(dataset: Path, folder: Path, **others: Any) -> pl.DataFrame:
    """Search, and return the trials without their seconds."""
    folder.mkdir(exist_ok=True)
    files = [folder / name for name in FILES]
    arguments = {"settings": SETTINGS, "search": SEARCH, "sources": (), "seed": 0, "threads": 1, "code": "", **others}
    search_classifier(dataset, None, None, *files, folder / "runs", **arguments)
    return read_table(files[0], Trials).drop("seconds")


def train(dataset: Path, folder: Path, settings: ClassifierSettings) -> list[float]:
    """Train, and return the losses on the validation split."""
    folder.mkdir()
    files = [folder / name for name in ("best.safetensors", "curves.csv", RECORD)]
    train_classifier(dataset, None, None, *files, Trainings(folder / "runs"), settings, seed=0, threads=1, code="")
    with files[1].open(newline="") as file:
        return [float(row["val_loss"]) for row in csv.DictReader(file)]


def test_the_metric_is_that_of_the_weights_with_the_lowest_loss() -> None:
    curves = "epoch,val_loss,val_accuracy\n1,3,0.5\n2,2,0.4\n3,2,0.9\n4,2.5,0.7\n5,1,0.6\n"
    assert metric_by_epoch(curves, "loss") == [3, 2, 2, 2, 1]
    assert metric_by_epoch(curves, "accuracy") == [0.5, 0.4, 0.4, 0.4, 0.6]


@pytest.mark.slow
def test_a_killed_search_of_a_classifier_gives_the_same_settings_which_train_to_the_same_metric(tmp_path: Path) -> None:
    dataset = make_pictures(tmp_path / "dataset")
    # A search does not look at the test split.
    for file in (dataset / "images/test").iterdir():
        file.write_text("<html>")
    checksum(dataset)
    trials = search(dataset, tmp_path / "whole")
    assert set(trials["state"]) >= {"complete", "failed"}
    assert "the loss is not finite" in trials.filter(state="failed")["reason"][0]

    def kill(curves: str) -> None:
        if curves.count("\n") == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), listening(kill):
        search(dataset, tmp_path / "killed")
    again = search(dataset, tmp_path / "killed")
    assert again.equals(trials)
    for name in ("search.json", "best.yaml"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()

    text = (tmp_path / "whole/best.yaml").read_text()
    pasted = yaml.safe_load(text)["classifiers"]["marks"]
    values = {f"{section}.{key}": value for section, inner in pasted.items() for key, value in inner.items()}
    assert values.keys() == SEARCH.space.keys()
    losses = train(dataset, tmp_path / "pasted", ClassifierSettings(**changed(SETTINGS.model_dump(), values)))
    best = trials.filter(state="complete").sort("metric").row(0, named=True)
    assert min(losses) == best["metric"] and f"loss {best['metric']:.4g} on the validation split" in text
    with (tmp_path / "whole/trials.tsv").open(newline="") as file:
        row = list(csv.DictReader(file, delimiter="\t"))[best["number"]]
    assert float(row["training.learning_rate"]) == values["training.learning_rate"] and row["state"] == "complete"


def test_without_a_validation_split_nothing_is_searched(tmp_path: Path) -> None:
    dataset = make_pictures(tmp_path / "dataset")
    table = read_table(dataset / "pictures.parquet", Pictures).filter(pl.col("split") != "val")
    write_table(table, Pictures, dataset / "pictures.parquet")
    checksum(dataset)
    with pytest.raises(TesseraError, match="has no validation split, so that trials cannot be compared"):
        search(dataset, tmp_path / "search")
