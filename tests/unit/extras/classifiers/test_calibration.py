"""Temperature scaling halves the calibration error, and the error is that of its definition."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from classification_dataset import make_digits
from tessera.extras.classifiers.calibration import BINS, bins_of, brier_score, calibration_error, temperature_of
from tessera.extras.classifiers.dataset import read_samples
from tessera.extras.classifiers.settings import ClassifierSettings
from tessera.extras.classifiers.train import train_classifier
from tessera.learning.classification.classifier import read_classifier
from tessera.learning.trainings import RECORD, Trainings


def error_of(probabilities: np.ndarray, targets: np.ndarray) -> float:
    right = probabilities.argmax(1) == targets
    return float(calibration_error(bins_of(probabilities, right, np.zeros(len(targets), int)))[0])


def draw(count: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits that are calibrated, and targets drawn from their probabilities."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (count, classes))
    cumulated = softmax(logits, axis=1).cumsum(axis=1)
    return logits, (rng.random((count, 1)) > cumulated).sum(axis=1).clip(max=classes - 1)


def test_an_overconfident_model_is_calibrated_on_other_pictures() -> None:
    logits, targets = draw(4000, 5)
    logits *= 4
    temperature = temperature_of(logits[:2000], targets[:2000])
    assert temperature == pytest.approx(4, rel=0.1)
    before, after = (error_of(softmax(logits[2000:] / each, axis=1), targets[2000:]) for each in (1.0, temperature))
    print(f"\ncalibration error {before:.4f} before, {after:.4f} after (ceiling: half)")
    assert after <= before / 2


@given(st.integers(2, 6), st.floats(0.2, 8), st.integers(0, 100))
@settings(max_examples=20)
def test_no_other_temperature_has_a_lower_brier_score(classes: int, factor: float, seed: int) -> None:
    logits, targets = draw(300, classes, seed)
    logits *= factor
    temperature = temperature_of(logits, targets)
    found = brier_score(logits / temperature, targets)
    assert all(found <= brier_score(logits / other, targets) + 1e-7 for other in np.geomspace(0.05, 20, 200))


def test_a_model_that_is_never_wrong_is_not_made_surer_and_few_pictures_change_nothing() -> None:
    logits, targets = np.tile(np.eye(3) * 2, (4, 1)), np.tile(np.arange(3), 4)
    assert temperature_of(logits, targets) == pytest.approx(1, abs=1e-3)
    assert temperature_of(logits, np.roll(targets, 1)) > 10, "it is always wrong"
    for count in (0, 9):
        assert temperature_of(logits[:count], np.roll(targets, 1)[:count]) == 1


@given(st.integers(1, 60), st.integers(2, 4), st.integers(0, 1000))
@settings(max_examples=30)
def test_the_calibration_error_is_that_of_its_definition(count: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities = softmax(rng.normal(0, 3, (count, classes)), axis=1)
    right = rng.random(count) < 0.5
    expected = 0.0
    for number in range(BINS):
        inside = [place for place in range(count) if number / BINS < probabilities[place].max() <= (number + 1) / BINS]
        if inside:
            gap = np.mean([probabilities[place].max() for place in inside]) - np.mean([right[place] for place in inside])
            expected += len(inside) / count * abs(gap)
    bins = bins_of(probabilities, right, np.arange(count) % 2)
    assert float(calibration_error(bins.sum(axis=2))) == pytest.approx(expected)


@pytest.mark.slow
def test_an_overfitted_head_on_digits_is_calibrated_to_half_the_error(tmp_path: Path) -> None:
    vectors = tmp_path / "vectors.parquet"
    dataset = make_digits(tmp_path / "dataset", vectors, (100, 500, 1190))
    chosen = ClassifierSettings(
        labels=tuple(map(str, range(10))),
        architecture="head",
        embedding="pixels",
        hidden=128,
        training={"epochs": 60, "batch": 16, "learning_rate": 5e-3, "patience": 0, "weight_decay": 0},
    )
    files = [tmp_path / name for name in ("best.safetensors", "curves.csv", RECORD)]
    # The last weights are surer of their mistakes than those with the lowest loss.
    samples = read_samples(dataset, chosen.labels, vectors)
    train_classifier(dataset, vectors, None, *files, Trainings(tmp_path / "runs"), chosen, seed=0, threads=1, code="")
    classifier = read_classifier(files[0])
    import torch

    (run,) = (tmp_path / "runs").iterdir()
    classifier.network.load_state_dict(torch.load(run / "state.pt")["network"])
    logits = classifier.network(torch.from_numpy(samples.vectors)).numpy()
    val, test = samples.indices("val"), samples.indices("test")
    temperature = temperature_of(logits[val], samples.targets[val])
    before, after = (error_of(softmax(logits[test] / each, axis=1), samples.targets[test]) for each in (1.0, temperature))
    print(f"\ncalibration error {before:.4f} before, {after:.4f} after, at temperature {temperature:.2f} (ceiling: half)")
    assert after <= before / 2
