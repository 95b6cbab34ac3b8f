"""The card of a model describes it, and contains nothing about the machine that made it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from chance_metrics import write_chance
from huggingface_hub import ModelCard

from tessera.catalogue import DETECTOR, RESTORER
from tessera.configuration.read import Configuration
from tessera.core.provenance import digest, sha256_file
from tessera.learning.weights.known import known_weights
from tessera.pages.cards import Described, render, write_model_card, write_plain_card, write_restoration_card

PURPOSE = "find what is wanted"
SCORES = {"map50": 0.61234, "map50_95": 0.4, "precision": 0.7, "recall": None}
INTERVALS = {"mask": {"map50": [0.5, 0.75], "recall": None}}
VAL = {"images": 9, "objects": 12, "mask": SCORES, "intervals": INTERVALS}
TEST = {"images": 900, "objects": 1200, "box": SCORES, "intervals": "too few sources for an interval (3)"}
METRICS = {"dataset": "d", "task": "segment", "epochs": 7, "splits": {"val": VAL, "test": TEST}}
DIFFERENCES = {"detections": 3, "unmatched": 0, "output": 1e-5, "score": 0, "box": 0, "mask": 1}
COMPARED = {"images": 9, "image_size": 32, **DIFFERENCES, "lada": DIFFERENCES}
MADE_WITH = [{"torch": "2.1", "device": "CPU"}, {"torch": "2.2", "device": "<b>GPU"}]
ORIGINS = [{"source": "a|b", "split": "val", "images": 9, "rights": "<script>", "consent": "release 7"}]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    contents = {
        "metrics": METRICS,
        "export": COMPARED,
        "datasheet": {"origins": ORIGINS},
        "checksums": "",
        "record": {"identity": {"seed": 3, "code": "c0de"}, "made_with": MADE_WITH, "finished": True},
    }
    paths = {name: tmp_path / name for name in (*contents, "data", "text", "model.pt", "model.onnx")}
    for name, content in contents.items():
        paths[name].write_text(json.dumps(content))
    for name in ("model.pt", "model.onnx"):
        paths[name].write_bytes(name.encode())
    return paths


def described(files: dict[str, Path], model: str, not_for: Sequence[str], exported: Sequence[Path] | None = None) -> Described:
    return Described(
        model, PURPOSE, not_for, exported or [files["model.pt"]], files["checksums"], files["datasheet"], files["metrics"]
    )


def write(files: dict[str, Path], **changes: Any) -> dict[str, Any]:
    settings = {**Configuration().models.nsfw_detection.model_dump(mode="json"), **changes}
    reports = [files[name] for name in ("export", "record", "data", "text")]
    exported = [files["model.pt"], files["model.onnx"]]
    write_model_card(described(files, "nsfw_detection", DETECTOR.not_for, exported), *reports, settings=settings)
    card: dict[str, Any] = json.loads(files["data"].read_text())
    return card


def test_a_card_holds_what_is_needed_to_judge_and_to_make_the_model_again(files: dict[str, Path]) -> None:
    card = write(files)
    assert card["files"]["model.pt"] == {"bytes": 8, "sha256": sha256_file(files["model.pt"])}
    assert card["dataset"] == {"sha256sums": sha256_file(files["checksums"]), "datasheet": {"origins": ORIGINS}}
    assert card["training"]["arguments"]["epochs"] == 200
    assert (card["training"]["seed"], card["training"]["code"]) == (3, "c0de")
    assert card["training"]["made_with"] == MADE_WITH
    assert (card["metrics"], card["export"]["compared"]) == (METRICS, COMPARED)
    assert card["licence"] == "AGPL-3.0"
    assert any("minors" in line for line in card["not_for"]) and any("consent" in line for line in card["not_for"])
    assert set(card["versions"]) == {"torch", "ultralytics", "onnx", "onnxruntime"}


def test_a_card_is_readable_and_escapes_the_data(files: dict[str, Path]) -> None:
    write(files)
    text = files["text"].read_text()
    assert "| val | mask | 0.612 (0.500 to 0.750) | 0.400 | 0.700 | none |" in text
    assert "| test | box | 0.612 | 0.400 | 0.700 | none |" in text
    assert "The test split has too few sources for an interval (3)." in text
    assert "The val split has 12 objects, too few for reliable metrics." in text
    assert r"| a\|b | val | 9 | \<script\> | release 7 |" in text
    assert "- trained with: torch 2.1, device CPU; then torch 2.2, device \\<b\\>GPU\n" in text
    assert "- initial weights: random\n" in text


def test_a_card_says_which_weights_lada_s_application_needs(files: dict[str, Path]) -> None:
    export = Configuration().models.nsfw_detection.export.model_dump(mode="json")
    write(files, export={**export, "lada": False})
    assert "set `models.nsfw_detection.export.lada: true`" in files["text"].read_text()
    files["export"].write_text(json.dumps({**COMPARED, "lada": {**DIFFERENCES, "detections": 5}}))
    write(files)
    (line,) = [line for line in files["text"].read_text().splitlines() if "passes BGR" in line]
    assert "use `lada_nsfw_detection_model_tessera.pt`" in line and "For 5 detections" in line and "export.lada" not in line


def test_a_card_says_if_its_metrics_are_not_those_of_an_onnx_model_that_takes_squares_alone(files: dict[str, Path]) -> None:
    export = Configuration().models.nsfw_detection.export.model_dump(mode="json")
    for dynamic in (True, False):
        write(files, export={**export, "dynamic": dynamic})
        text = files["text"].read_text()
        assert ("squares of 32 by 32 pixels alone" in text) == (not dynamic)
        assert "images padded to squares (`rect=False`) have other metrics" in text


def test_a_card_says_of_masks_and_detections_only_what_was_compared(files: dict[str, Path]) -> None:
    def compared(**others: Any) -> str:
        files["export"].write_text(json.dumps({**COMPARED, **others}))
        write(files)
        return next(line for line in files["text"].read_text().splitlines() if "was compared" in line)

    assert "For 3 detections" in compared() and "Masks have an IoU of at least 1.0000." in compared()
    assert compared(mask=None).endswith(
        "For 3 detections, scores differ by at most 0.0e+00 and box edges by at most 0.0e+00 pixels."
    )
    nothing = compared(detections=0, score=None, box=None, mask=None)
    assert nothing.endswith("Neither model detected anything in them, so that no detections were compared.")


def test_a_model_of_any_kind_has_a_card(files: dict[str, Path]) -> None:
    settings = {"threshold": 0.123456, "of": {"<b>": True}, "classes": ["clean", "soft"]}
    write_plain_card(
        described(files, "plain", ["harm"]), data=files["data"], text=files["text"], export=None, settings=settings, seed=3
    )
    card, text = json.loads(files["data"].read_text()), files["text"].read_text()
    assert card["training"] == {"settings": settings, "seed": 3}
    assert card["metrics"] == METRICS
    assert set(card["files"]) == {"model.pt"}
    assert f"A model that can {PURPOSE}." in text and "- harm\n" in text
    assert "| splits.val.mask.map50 | 0.6123 |" in text
    assert "| threshold | 0.1235 |" in text and "| of.\\<b\\> | yes |" in text
    assert "| classes | clean, soft |" in text
    assert r"| a\|b | val | 9 | \<script\> | release 7 |" in text


@pytest.mark.parametrize("is_better", [True, False])
def test_a_card_says_that_a_classifier_is_no_better_than_chance(is_better: bool, files: dict[str, Path]) -> None:
    chance = json.loads(write_chance(files["metrics"], is_better).read_text())["splits"]["val"]["chance"]
    val = {"pictures": 9, "balanced_accuracy": 0.55, "intervals": "too few", "chance": chance, "worst_sources": []}
    files["metrics"].write_text(json.dumps({"splits": {"val": val}}))
    write_plain_card(described(files, "plain", []), data=files["data"], text=files["text"], export=None, settings={}, seed=3)
    told = "On this split, it is no better than chance: balanced accuracy 0.400 to 0.700, 0.500 by guessing."
    assert (told in files["text"].read_text()) is not is_better


def test_hubs_of_models_read_what_a_card_states(files: dict[str, Path]) -> None:
    files["datasheet"].write_text(json.dumps({"dataset": "d", "origins": [{**ORIGINS[0], "content": "adult"}]}))
    write(files)
    shown = ModelCard.load(files["text"])
    assert shown.text.strip().startswith("# nsfw_detection")
    data = shown.data
    assert (data.license, data.library_name, data.pipeline_tag) == ("agpl-3.0", "ultralytics", "image-segmentation")
    assert data.tags == ["tessera", "not-for-all-audiences"] and data.model_name == "nsfw_detection"
    found = {(each.dataset_name, each.dataset_split, each.metric_name): each.metric_value for each in data.eval_results}
    assert found["d", "val", "mask map50"] == 0.61234 and found["d", "test", "box precision"] == 0.7
    assert not any(name.endswith("recall") for _, _, name in found), "it has no value"
    write_restored(files)
    data = ModelCard.load(files["text"]).data
    assert (data.pipeline_tag, data.library_name) == ("image-to-image", None)
    assert [(each.metric_name, each.metric_value) for each in data.eval_results] == [("psnr", 25.125), ("ssim", 0.75)]


def test_equal_inputs_give_an_equal_card(files: dict[str, Path]) -> None:
    write(files)
    first = files["data"].read_bytes(), files["text"].read_bytes()
    write(files)
    assert (files["data"].read_bytes(), files["text"].read_bytes()) == first


def test_a_card_names_local_weights_without_their_folder(files: dict[str, Path]) -> None:
    sha256 = digest("start")
    weights = {"source": "/home/someone/private/start.pt", "sha256": sha256}
    card = write(files, weights=weights)
    assert card["training"]["weights"] == {"source": "start.pt", "sha256": sha256}
    assert "someone" not in files["data"].read_text() + files["text"].read_text()
    assert f"initial weights: start.pt, sha256 `{sha256}`\n" in files["text"].read_text()


def test_a_card_states_the_licence_of_weights_that_are_known(files: dict[str, Path]) -> None:
    known = known_weights()["nudenet"]
    weights = {"source": known.source, "sha256": known.sha256}
    assert write(files, weights=weights)["training"]["weights"] == {**weights, "licence": known.licence}
    assert f"- initial weights: {known.source}, sha256 `{known.sha256}`, licence AGPL-3.0 by the" in files["text"].read_text()
    settings = {"weights": weights, "architecture": "resnet18"}
    write_plain_card(
        described(files, "plain", []), data=files["data"], text=files["text"], export=None, settings=settings, seed=3
    )
    assert f"| weights.licence | {known.licence} |" in files["text"].read_text()


def test_a_dataset_without_origins_has_a_card(files: dict[str, Path]) -> None:
    files["datasheet"].write_text("{}")
    assert render(write(files)).startswith("# nsfw_detection\n")


METHODS = {"mosaicked": {"psnr": 20.0, "ssim": 0.5}, "restored": {"psnr": 25.125, "ssim": 0.75}}
MEASURED = {"samples": 7, "region": METHODS, "frame": METHODS}
RESTORED = {
    "frames": 30,
    "splits": {
        "val": {"all": MEASURED, "blocks": {"below 8": MEASURED, "8 and more": {"samples": 0}}},
        "test": {"all": {"samples": 0}, "blocks": {"below 8": {"samples": 0}}},
    },
}
LOADED = {
    "samples": 4,
    "frames": 8,
    "differences": {"model.safetensors": 0.0, "model.pth": 1.5e-7},
    "untraced": "It has loops.",
    "versions": {"torch": "2", "mmagic": "1.2.0"},
}


def write_restored(files: dict[str, Path], **changes: Any) -> tuple[dict[str, Any], str]:
    files["metrics"].write_text(json.dumps(RESTORED))
    files["export"].write_text(json.dumps(LOADED))
    files["datasheet"].write_text(json.dumps({"origins": [{"source": "a|b", "split": "val", "clips": 9, "rights": "own"}]}))
    settings = {**Configuration().restoration.model_dump(mode="json"), **changes}
    records = [files["data"].with_name(f"{stage['name']}.json") for stage in settings["stages"]]
    for stage, record, made_with in zip(settings["stages"], records, (MADE_WITH, *[MADE_WITH[:1]] * 3), strict=True):
        identity = {"settings": {"stage": stage}, "seed": 3, "code": "c0de"}
        record.write_text(json.dumps({"identity": identity, "made_with": made_with, "finished": True}))
    about, outputs = described(files, "mosaic_restoration", RESTORER.not_for), (files["data"], files["text"])
    write_restoration_card(about, files["export"], records, *outputs, settings=settings)
    return json.loads(files["data"].read_text()), files["text"].read_text()


def test_the_card_of_a_restorer_holds_what_is_needed_to_judge_and_to_make_it_again(files: dict[str, Path]) -> None:
    card, _ = write_restored(files)
    assert card["model"] == "mosaic_restoration"
    assert [stage["name"] for stage in card["training"]["stages"]] == ["stage1", "stage2", "stage2.5", "stage2.6"]
    assert (card["training"]["seed"], card["training"]["code"]) == (3, "c0de")
    assert card["training"]["made_with"]["stage1"] == MADE_WITH
    assert (card["metrics"], card["export"]["compared"], card["versions"]) == (RESTORED, LOADED, LOADED["versions"])
    assert any("minors" in line for line in card["not_for"]) and any("did not consent" in line for line in card["not_for"])


def test_the_card_of_a_restorer_is_readable(files: dict[str, Path]) -> None:
    _, text = write_restored(files)
    assert "| val | region | mosaicked | 20.000 | 0.500 | none |" in text
    assert "| val | below 8 | 7 | 20.000 | 25.125 |" in text
    assert "The val split has 7 samples, too few for reliable metrics." in text and "The test split" not in text
    assert "differ by at most 0.0e+00 for model.safetensors, 1.5e-07 for model.pth." in text
    assert "The model is not exported to TorchScript or ONNX. It has loops." in text
    assert "- stage1 trained with: torch 2.1, device CPU; then torch 2.2" in text
    assert "- stage2.6 trained with: torch 2.1, device CPU\n" in text
    assert "| stage2 | stage1 | 150000 | 16 | 2 | 0.001 | 1.0 | 0.2 | 0.05 |" in text
    assert r"| a\|b | val | 9 | own |" in text
    assert "- initial weights: random\n" in text and "cannot restore" not in text


def test_the_card_warns_of_a_restorer_that_the_application_cannot_load(files: dict[str, Path]) -> None:
    _, text = write_restored(files, generator={"channels": 8, "blocks": 1})
    assert "Lada's application cannot restore with this model: it builds a model of 64 channels and 15 blocks" in text


def test_the_card_says_what_the_optical_flow_began_with(files: dict[str, Path]) -> None:
    known = known_weights()["starter_flow"]
    given = {"source": known.source, "sha256": known.sha256}
    _, text = write_restored(files, weights={"spynet": given, "vgg19": None, "load_from": None})
    assert f"- initial weights of the optical flow: {known.source}, sha256 `{known.sha256}`, licence AGPL-3.0" in text
    _, text = write_restored(files)
    assert "- initial weights of the optical flow: random\n" in text


def test_the_card_names_initial_weights_without_their_folder(files: dict[str, Path]) -> None:
    sha256 = digest("start")
    weights = {"spynet": None, "vgg19": None, "load_from": {"source": "/home/someone/lada.pth", "sha256": sha256}}
    card, text = write_restored(files, weights=weights)
    assert card["training"]["weights"]["load_from"] == {"source": "lada.pth", "sha256": sha256}
    assert f"- initial weights: lada.pth, sha256 `{sha256}`" in text and "optical flow" not in text
    assert "someone" not in json.dumps(card) + text
