"""Heat maps are those of Grad-CAM, and lie where the concept is; networks without places have none."""

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from classification_dataset import CLASSES, make_pictures
from tessera.core import log
from tessera.extras.classifiers.settings import ClassifierSettings
from tessera.extras.classifiers.train import train_classifier
from tessera.learning.classification.classifier import Classifier, read_classifier
from tessera.learning.classification.explain import heat_map, overlay
from tessera.learning.classification.network import build_network, preparation_of
from tessera.learning.classification.settings import Description
from tessera.learning.trainings import RECORD, Trainings

pytestmark = pytest.mark.slow


def build(architecture: str, size: int = 64, resize: Any = "stretch") -> Classifier:
    import torch

    torch.manual_seed(0)
    preparation = preparation_of(architecture, size, resize)
    description = Description(labels=CLASSES, architecture=architecture, preparation=preparation)
    return Classifier(description, build_network(description).requires_grad_(False))


def test_the_map_is_that_of_hooks_on_the_last_layer_of_a_resnet() -> None:
    """Grad-CAM restated with hooks, as the peer has it."""
    import torch

    classifier = build("resnet18")
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    network = build("resnet18").network.requires_grad_(True)
    seen: dict[str, torch.Tensor] = {}
    network.layer4[-1].register_forward_hook(lambda _, __, output: seen.update(features=output))
    network.layer4[-1].register_full_backward_hook(lambda _, __, gradients: seen.update(gradients=gradients[0]))
    mean, deviation = (torch.tensor(each).view(1, 3, 1, 1) for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    inputs = (torch.from_numpy(picture).permute(2, 0, 1)[None] / 255 - mean) / deviation
    network(inputs)[0, 1].backward()
    weights = seen["gradients"].mean((2, 3), keepdim=True)
    expected = (weights * seen["features"]).sum(1)[0].relu().detach().numpy()
    expected = cv2.resize(expected / max(expected.max(), 1e-9), (64, 64), interpolation=cv2.INTER_LINEAR)
    found = heat_map(classifier, picture, 1)
    assert found is not None and found.shape == (64, 64) and found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-4 and found.max() > 0.5


def test_features_of_a_single_place_have_no_map() -> None:
    assert heat_map(build("test_resnet", size=32), np.zeros((32, 32, 3), np.uint8)) is None


@pytest.mark.parametrize("architecture", ["test_resnet", "test_convnext", "test_efficientnet", "test_nfnet"])
@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_a_map_covers_a_picture_of_any_shape(architecture: str, resize: str) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (50, 90, 3), np.uint8)
    found = heat_map(build(architecture, resize=resize), picture)
    assert found is not None and found.shape == (50, 90) and found.min() >= 0 and found.max() <= 1
    if resize == "crop":
        assert not found[:, :20].any() and not found[:, 70:].any()
    assert overlay(picture, found).shape == picture.shape


def test_networks_without_places_have_no_map() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    assert heat_map(build("test_vit"), picture) is None
    head = Description(labels=CLASSES, architecture="head", embedding="e", features=4, hidden=8)
    assert heat_map(Classifier(head, build_network(head)), picture) is None


def test_the_map_of_a_trained_classifier_lies_on_what_it_learned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_terminal", io.StringIO())
    dataset = make_pictures(tmp_path / "dataset")
    settings = ClassifierSettings(
        labels=CLASSES,
        architecture="test_efficientnet",
        image_size=64,
        training={"epochs": 12, "batch": 8, "learning_rate": 3e-3, "patience": 0},
    )
    files = [tmp_path / name for name in ("best.safetensors", "curves.csv", RECORD)]
    train_classifier(dataset, None, None, *files, Trainings(tmp_path / "runs"), settings, seed=0, threads=1, code="")
    classifier = read_classifier(files[0])
    rng = np.random.default_rng(1)
    share = []
    for x, y in ((20, 20), (75, 20), (20, 75), (75, 75)):
        picture = rng.integers(0, 120, (96, 96, 3), np.uint8)
        cv2.circle(picture, (x, y), 20, (255, 220, 40), -1)
        heat = heat_map(classifier, picture, 1)
        assert heat is not None
        quarter = heat[48 * (y > 48) :, 48 * (x > 48) :][:48, :48]
        share.append(quarter.sum() / max(heat.sum(), 1e-9))
    assert np.mean(share) > 0.4, share
