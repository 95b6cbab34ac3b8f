"""Classifiers are read back as they were written, refuse what is not theirs, and see all of a large picture."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tessera.core.errors import Failed, TesseraError
from tessera.core.provenance import sha256_file
from tessera.learning.architectures import architectures
from tessera.learning.classification.classifier import DESCRIPTION, Classifier, read_classifier, write_classifier
from tessera.learning.classification.network import build_network, load_start, preparation_of
from tessera.learning.classification.pictures import combine, cut_tiles
from tessera.learning.classification.settings import Description, ScoreRange, Tiling
from tessera.learning.preprocessing import GREY, Preprocessing, to_square

SIZE = 32
CLASSES = ("clean", "marked", "old")


def of_pictures(architecture: str = "test_resnet", **others: Any) -> Description:
    preparation = preparation_of(architecture, SIZE, "stretch")
    return Description(**{"labels": CLASSES, "architecture": architecture, "preparation": preparation, **others})


def of_vectors(**others: Any) -> Description:
    return Description(**{"labels": CLASSES, "architecture": "head", "embedding": "e", "features": 6, "hidden": 8, **others})


def write(path: Path, description: Description, seed: int = 0) -> Path:
    import torch

    torch.manual_seed(seed)
    write_classifier(path, description, build_network(description).state_dict())
    return path


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def preparation(resize: Any) -> Preprocessing:
    return Preprocessing(size=SIZE, resize=resize)


def test_pictures_are_stretched_cropped_or_padded_to_squares() -> None:
    striped = np.repeat(np.array([255, 0, 255, 0], np.uint8), 16)[None, :, None].repeat(32, 0).repeat(3, 2)
    assert (to_square(striped, preparation("stretch"))[:, 10] == 0).all(), "64 columns become 32"
    assert (to_square(striped, preparation("crop")) == striped[:, 16:48]).all(), "the middle columns"
    padded = to_square(striped, preparation("pad"))
    assert (padded[:8] == GREY).all() and (padded[24:] == GREY).all() and (padded[8:24, :7] == 255).all()


@pytest.mark.parametrize("extra", [1, 3, 5])
def test_the_middle_of_a_picture_begins_where_torchvision_or_transformers_begins_it(extra: int) -> None:
    from PIL import Image
    from torchvision.transforms.functional import center_crop

    image = picture(SIZE, SIZE + extra)
    expected = {
        "nearest": np.asarray(center_crop(Image.fromarray(image), SIZE)),
        # `center_crop` in image_processing_backends.py of transformers 5: the offset is int((width - crop) / 2.0).
        "down": image[:, extra // 2 : extra // 2 + SIZE],
    }
    for offset, middle in expected.items():
        assert (to_square(image, Preprocessing(size=SIZE, offset=offset)) == middle).all()


@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from(["stretch", "crop", "pad"]))
def test_a_picture_of_any_shape_becomes_a_square(height: int, width: int, resize: str) -> None:
    assert to_square(picture(height, width), preparation(resize)).shape == (SIZE, SIZE, 3)


@settings(max_examples=30)
@given(st.integers(1, 120), st.integers(1, 120))
def test_tiles_are_those_of_torchvision_and_no_picture_is_scaled_up(height: int, width: int) -> None:
    from PIL import Image
    from torchvision.transforms.functional import five_crop, resize

    image = picture(height, width)
    tiles = cut_tiles(image, 40, 71)
    if min(height, width) <= 40:
        assert len(tiles) == 1 and tiles[0] is image
    else:
        whole = Image.fromarray(image)
        expected = five_crop(resize(whole, 71) if min(height, width) > 71 else whole, 40)
        assert all((one == np.asarray(other)).all() for one, other in zip(tiles, expected, strict=True))


def test_a_large_picture_is_scaled_down_by_its_shorter_side_before_it_is_tiled() -> None:
    flat = np.zeros((200, 400, 3), np.uint8)
    flat[:, 200:] = 255
    tiles = cut_tiles(flat, 50, 100)
    assert {tile.shape for tile in tiles} == {(50, 50, 3)}
    assert not tiles[0].any() and (tiles[1] == 255).all()
    centre = tiles[4]
    assert not centre[:, :24].any() and (centre[:, 26:] == 255).all(), "200 by 400 became 100 by 200"


def test_a_picture_whose_longer_side_alone_is_long_is_not_scaled() -> None:
    """CityClassifiers would scale the shorter side up to the limit."""
    image = picture(80, 200)
    tiles = cut_tiles(image, 40, 100)
    assert (tiles[3] == image[40:, 160:]).all() and (tiles[4] == image[20:60, 80:120]).all()


def test_tiles_are_combined_by_each_output() -> None:
    results = np.array([[0.1, 0.9], [0.2, 0.8], [0.6, 0.4]], np.float32)
    found = {how: combine(results, how).round(3).tolist() for how in ("mean", "median", "max", "min")}
    expected = {"mean": [0.3, 0.7], "median": [0.2, 0.8], "max": [0.6, 0.9], "min": [0.1, 0.4]}
    assert found == {how: pytest.approx(values) for how, values in expected.items()}


def test_a_tile_that_no_picture_can_hold_is_refused() -> None:
    with pytest.raises(ValidationError, match="`tile` should not be above `side`"):
        Tiling(tile=200, side=100)


@pytest.mark.slow
def test_a_written_classifier_is_read_with_equal_bytes_and_results(tmp_path: Path) -> None:
    path = write(tmp_path / "one.safetensors", of_pictures(temperature=2.0))
    assert write(tmp_path / "two.safetensors", of_pictures(temperature=2.0)).read_bytes() == path.read_bytes()
    classifier = read_classifier(path, sha256_file(path))
    assert classifier.description == of_pictures(temperature=2.0)
    import torch

    torch.manual_seed(0)
    network = build_network(classifier.description).eval()
    image = picture(SIZE, SIZE)
    with torch.no_grad():
        logits = network(((torch.from_numpy(image).double() / 255 - 0.5) / 0.5).permute(2, 0, 1)[None].float())
    (result,) = classifier.predict([image])
    assert result == pytest.approx((logits / 2).softmax(1)[0].numpy(), abs=1e-6)
    assert result.sum() == pytest.approx(1)


@pytest.mark.slow
def test_results_of_a_picture_do_not_depend_on_the_others(tmp_path: Path) -> None:
    classifier = read_classifier(write(tmp_path / "one.safetensors", of_pictures()))
    pictures = [picture(50 + 10 * number, 70, number) for number in range(5)]
    together = list(classifier.predict(pictures, Tiling(tile=40)))
    alone = [next(classifier.predict([each], Tiling(tile=40))) for each in reversed(pictures)][::-1]
    assert all((one == other).all() for one, other in zip(together, alone, strict=True))
    tiles = [next(classifier.predict([tile])) for tile in cut_tiles(pictures[0], 40, 1536)]
    assert together[0] == pytest.approx(np.mean(tiles, axis=0), abs=1e-6)


@pytest.mark.slow
def test_a_score_lies_in_its_range(tmp_path: Path) -> None:
    description = of_vectors(labels=ScoreRange(least=-5, most=10))
    classifier = read_classifier(write(tmp_path / "head.safetensors", description))
    vectors = np.random.default_rng(0).normal(0, 100, (300, 6)).astype(np.float16)
    found = classifier.predict_vectors(vectors)
    assert found.shape == (300, 1) and found.min() >= -5 and found.max() <= 10 and found.std() > 0


@pytest.mark.slow
def test_what_is_no_picture_or_no_vector_of_its_embedding_is_refused(tmp_path: Path) -> None:
    pictures = read_classifier(write(tmp_path / "one.safetensors", of_pictures()))
    with pytest.raises(Failed, match="not a picture: float64"):
        list(pictures.predict([np.zeros((32, 32, 3))]))
    with pytest.raises(Failed, match=r"\(0, 32, 3\)"):
        list(pictures.predict([np.zeros((0, 32, 3), np.uint8)]))
    head = read_classifier(write(tmp_path / "head.safetensors", of_vectors()))
    with pytest.raises(TesseraError, match="takes 6 numbers of the embedding 'e'"):
        head.predict_vectors(np.zeros((2, 7), np.float32))
    with pytest.raises(TesseraError, match="takes vectors of the embedding 'e'"):
        list(head.predict([picture(9, 9)]))


@pytest.mark.slow
def test_files_that_are_no_classifier_are_refused_in_one_sentence(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    path = write(tmp_path / "one.safetensors", of_pictures())
    with pytest.raises(TesseraError, match=f"its sha256 is .*, but {'0' * 64} is expected"):
        read_classifier(path, "0" * 64)
    foreign, damaged = tmp_path / "foreign.safetensors", tmp_path / "damaged.safetensors"
    save_file({"a": torch.zeros(3)}, foreign)
    damaged.write_bytes(path.read_bytes()[:5000])
    swapped = of_pictures().model_dump_json()
    save_file({"a": torch.zeros(3)}, tmp_path / "swapped.safetensors", {DESCRIPTION: swapped})
    torch.save({"a": torch.zeros(3)}, tmp_path / "torch.pt")
    for name, answer in (
        ("foreign.safetensors", "is no classifier of Tessera"),
        ("torch.pt", "is no classifier of Tessera"),
        ("damaged.safetensors", "damaged safetensors"),
        ("swapped.safetensors", "weights of another architecture"),
    ):
        with pytest.raises(TesseraError, match=answer):
            read_classifier(tmp_path / name)


@pytest.mark.slow
def test_a_training_starts_from_weights_of_its_architecture_and_from_no_others(tmp_path: Path) -> None:
    import torch

    thousand = build_network(of_pictures(labels=tuple(map(str, range(10)))))
    torch.save({"state_dict": thousand.state_dict()}, tmp_path / "pretrained.pt")
    network = build_network(of_pictures())
    last = network.fc.weight.clone()
    load_start(network, tmp_path / "pretrained.pt")
    assert torch.equal(network.conv1[0].weight, thousand.conv1[0].weight) and torch.equal(network.fc.weight, last)
    with pytest.raises(TesseraError, match=r"another architecture: .* tensors differ"):
        load_start(build_network(of_pictures("test_convnext")), tmp_path / "pretrained.pt")
    with pytest.raises(TesseraError, match="another architecture"):
        load_start(build_network(of_vectors()), tmp_path / "pretrained.pt")
    state = thousand.state_dict()
    state["conv1.0.weight"][0] = torch.nan
    torch.save(state, tmp_path / "nan.pt")
    with pytest.raises(TesseraError, match=r"not finite, in .conv1\.0\.weight"):
        load_start(network, tmp_path / "nan.pt")


@pytest.mark.slow
def test_a_size_that_an_architecture_cannot_have_is_refused() -> None:
    name = "test_vit"
    with pytest.raises(TesseraError, match="own size is 160, correct `image_size`"):
        build_network(of_pictures(name, preparation=preparation_of(name, 24, "stretch")))


@pytest.mark.slow
def test_the_known_architectures_are_those_of_timm() -> None:
    import timm

    assert architectures() == set(timm.list_models())
    with pytest.raises(TesseraError, match=r"no architecture 'resnet18\.wrong'; correct"):
        preparation_of("resnet18.wrong", 32, "stretch")


@pytest.mark.slow
@pytest.mark.parametrize("outputs", [1, 3])
def test_the_head_is_the_predictor_of_city_classifiers(tmp_path: Path, outputs: int) -> None:
    """The architecture of the peer, restated with matrix products."""
    labels = CLASSES if outputs > 1 else ScoreRange()
    head: Classifier = read_classifier(
        write(tmp_path / "head.safetensors", of_vectors(labels=labels, features=768, hidden=1024))
    )
    from safetensors.numpy import load_file

    weights = {name: value.astype(np.float64) for name, value in load_file(tmp_path / "head.safetensors").items()}
    layers = ("up.0", "up.1.long.0", "up.1.long.2", "up.1.long.4", "down.0", "down.1", "down.4", "down.5")
    assert set(weights) == {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}

    def linear(name: str, values: np.ndarray) -> np.ndarray:
        return values @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def leaky(values: np.ndarray, slope: float) -> np.ndarray:
        return np.where(values > 0, values, slope * values)

    vectors = np.random.default_rng(0).normal(0, 1, (20, 768))
    wide = linear("up.0", vectors)
    long = linear("up.1.long.4", leaky(linear("up.1.long.2", leaky(linear("up.1.long.0", wide), 0.1)), 0.1))
    narrow = linear("down.1", linear("down.0", np.maximum(long + wide, 0)))
    logits = linear("down.5", linear("down.4", leaky(narrow, 0.01)))
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    expected = shifted / shifted.sum(1, keepdims=True) if outputs > 1 else (np.tanh(logits) + 1) / 2
    assert np.abs(head.predict_vectors(vectors.astype(np.float32)) - expected).max() < 1e-6
    if outputs == 1:
        assert sum(value.size for value in weights.values()) == 4_077_825


def test_a_description_survives_as_json() -> None:
    for description in (of_vectors(), of_vectors(labels=ScoreRange(least=1, most=2))):
        assert Description.model_validate_json(json.dumps(json.loads(description.model_dump_json()))) == description


@pytest.mark.parametrize(
    ("labels", "answer"),
    [
        (("a", "a"), "'a' stands twice"),
        (("a",), "at least 2"),
        ({"least": 2, "most": 1}, "should be below"),
        (("a", "b\n"), "pattern"),
    ],
)
def test_labels_that_cannot_be_learned_are_refused(labels: Any, answer: str) -> None:
    with pytest.raises(ValidationError, match=answer):
        of_vectors(labels=labels)
