"""Everything that an entry of the catalogue names exists, and the rules, settings and targets derived from it are complete."""

import ast
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import pytest

import tessera.catalogue
from tessera.catalogue import (
    DATASETS,
    GATES,
    IMAGES,
    MODELS,
    NOT_FOR,
    Dataset,
    Kind,
    Layout,
    Model,
    all_datasets,
    dataset_of,
    fed_by,
    image_set,
    image_set_of_part,
    label_task,
    made_datasets,
    model_for,
    sets_of,
    settings_of,
    trained_models,
)
from tessera.configuration.read import Configuration, load_configuration
from tessera.extras.image_sets.settings import LayoutSettings
from tessera.extras.image_sets.write import WRITERS
from tessera.records.label_sets import SETS, Format
from tessera.stages.labels.sets import READERS
from tessera.workflow.figures import FIGURES

REPOSITORY = Path(__file__).parents[2]
RULES = {path.stem: path.read_text(encoding="utf-8") for path in (REPOSITORY / "workflow" / "rules").rglob("*.smk")}
PLACES = {"shard", "labelled"}  # the wildcards that `Project.expand_shards` fills in
NAMES = [dataset.name for dataset in DATASETS]

datasets = pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.name)
models = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)


def wildcards(paths: Iterable[str]) -> set[str]:
    assert all(path.startswith("<results>/") for path in paths)
    return {name for path in paths for name in re.findall(r"{(\w*)}", path)}


def outputs_of(rule_file: str) -> str:
    """Return the text of the outputs of all rules in the file `rule_file`."""
    return "".join(re.findall(r"^    output:\n((?: {8}.*\n)+)", RULES[rule_file], flags=re.MULTILINE))


def test_the_names_differ() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert len({model.name for model in MODELS}) == len(MODELS)


@datasets
def test_the_paths_of_a_dataset_have_wildcards_that_are_known(dataset: Dataset) -> None:
    assert wildcards([*dataset.samples, *dataset.pictures, *dataset.drawn.values()]) <= PLACES
    assert wildcards(step.ledger for step in dataset.layout.steps) <= {"dataset"}


@datasets
def test_the_samples_of_a_dataset_are_made_by_rules(dataset: Dataset) -> None:
    made = "".join(map(outputs_of, RULES))
    for path in [*(f"{folder}/images.parquet" for folder in dataset.samples), *dataset.pictures, *dataset.drawn.values()]:
        assert f'"{path.replace("{labelled}", "{shard}")}"' in made


@datasets
def test_the_rules_of_a_layout_write_what_it_names(dataset: Dataset) -> None:
    layout: Layout = dataset.layout
    made = outputs_of(layout.rules)
    for part in [*layout.folders, *layout.files]:
        assert f'"<results>/datasets/{{dataset}}/{part}"' in made
    selections = "".join(map(outputs_of, RULES))
    assert f'"<results>/selections/{{dataset}}/{layout.table}"' in selections


@models
def test_the_rules_of_a_kind_write_what_it_names(model: Model) -> None:
    made = outputs_of(model.kind.rules)
    for name in (*model.kind.exports, *dict(model.kind.optional_exports)):
        assert f'"<results>/exports/{{model}}/{name}"' in made
    assert '"<results>/metrics/{model}.json"' in made
    assert ('"<results>/metrics/{model}.export.json"' in made) == model.kind.compares_export


def test_the_application_of_lada_lists_the_models_of_mosaics() -> None:
    """Its rule is that of `ModelFiles` in lada/__init__.py, Lada 0.11.1: the rest of a file name is the name of a model."""
    named = {}
    for model in MODELS:
        for pattern in (*model.kind.exports, *dict(model.kind.optional_exports)):
            file = pattern.format(model=model.name)
            for prefix, suffix in (("lada_mosaic_detection_model_", ".pt"), ("lada_mosaic_restoration_model_", ".pth")):
                if file.startswith(prefix) and file.endswith(suffix):
                    named[model.name] = file.removeprefix(prefix).removesuffix(suffix)
    assert named == {"mosaic_detection": "tessera", "mosaic_restoration": "tessera"}


def test_each_rule_file_exists_and_is_included_once() -> None:
    snakefile = REPOSITORY / "workflow" / "Snakefile"
    included = re.findall(r'^include: "(.+)"$', snakefile.read_text(encoding="utf-8"), re.MULTILINE)
    files = [path.relative_to(snakefile.parent).as_posix() for path in snakefile.parent.rglob("*.smk")]
    assert sorted(included) == sorted(files)


@datasets
def test_a_gate_of_a_dataset_has_steps_and_an_allowance(dataset: Dataset) -> None:
    for gate in dataset.gates:
        assert GATES[gate]
        assert 0 <= load_configuration({})["gates"][gate] <= 1


def test_the_ledgers_of_gates_are_made_by_rules() -> None:
    made = "".join(map(outputs_of, RULES))
    for ledger in (step.ledger for steps in GATES.values() for step in steps):
        assert f'"{ledger.replace("{labelled}", "{shard}")}"' in made


@datasets
def test_the_settings_that_a_dataset_names_exist(dataset: Dataset) -> None:
    config = load_configuration({})
    assert set(dataset.settings_sections) <= set(Configuration.model_fields)
    for prefix, setting in dataset.sets.items():
        section, key = setting.split(".")
        assert prefix in SETS
        assert config[section][key] == []
    if dataset.layout is IMAGES:
        assert dataset.classes(config)


def named(name: str, **more: str) -> dict[str, Any]:
    return {"name": name, "path": name, "content": "general", "rights": "CC0", **more}


def test_sets_are_found_by_the_prefix_of_their_sources() -> None:
    labels = [named("mine"), named("other"), named("logos", use="watermark_detection")]
    config = load_configuration({"annotations": {"labels": labels}, "watermarks": {"sets": [named("pita")]}})
    mine, other, logos = config["annotations"]["labels"]
    found = {dataset.name: sets_of(dataset, config) for dataset in DATASETS}
    assert found["nsfw_detection"] == {"labels:mine": mine, "labels:other": other}
    assert found["watermark_detection"] == {"labels:logos": logos, "watermarks:pita": config["watermarks"]["sets"][0]}
    assert found["mosaic_detection"] == found["mosaic_restoration"] == {}


def test_the_settings_of_a_dataset_name_its_own_sets_alone() -> None:
    labels = [named("mine"), named("logos", use="watermark_detection")]
    config = load_configuration({"annotations": {"labels": labels}, "watermarks": {"sets": [named("pita")]}})
    own = {dataset.name: settings_of(dataset, config) for dataset in DATASETS}
    assert [each["name"] for each in own["nsfw_detection"]["annotations"]["labels"]] == ["mine"]
    assert [each["name"] for each in own["watermark_detection"]["watermarks"]["sets"]] == ["pita"]


@models
def test_a_model_has_settings_of_its_own_or_says_when_it_is_trained(model: Model) -> None:
    assert model.dataset in NAMES
    assert (model.settings is None) == (model.is_trained is not None)
    defaults = load_configuration({})["models"]
    assert defaults.get(model.name) == (model.settings and model.settings.model_dump(mode="json"))
    assert model.untrained_hint and model.purpose and model.kind.not_for


def test_a_detector_is_found_by_what_it_finds() -> None:
    finds = [model.finds for model in MODELS if model.finds]
    assert len(set(finds)) == len(finds)
    assert {what: model_for(what) for what in finds} == {model.finds: model.name for model in MODELS if model.finds}
    assert model_for("face") == model_for("") == ""


@pytest.mark.parametrize(
    ("gate", "fed"),
    [
        ("frames", ["nsfw_detection", "watermark_detection", "mosaic_detection"]),
        ("regions", ["mosaic_detection"]),
        ("watermarks", ["watermark_detection"]),
        ("scenes", ["mosaic_restoration"]),
        ("sources", []),
    ],
)
def test_a_gate_feeds_the_datasets_that_name_it(gate: str, fed: list[str]) -> None:
    assert fed_by(gate) == fed


NO_VIDEOS: dict[str, Any] = {"scenes": {"detect": {"weights": None}}}
NO_DETECTORS = {"models": dict.fromkeys(("nsfw_detection", "watermark_detection", "mosaic_detection"))}


@pytest.mark.parametrize(
    ("values", "trained", "made"),
    [
        ({}, NAMES, NAMES),
        ({"restoration": {"stages": []}}, NAMES[:3], NAMES),
        (NO_VIDEOS, NAMES[:3], NAMES[:3]),
        ({"models": {"mosaic_detection": None}}, [*NAMES[:2], NAMES[3]], [*NAMES[:2], NAMES[3]]),
        ({**NO_VIDEOS, **NO_DETECTORS}, [], []),
    ],
)
def test_what_is_trained_and_made_follows_from_the_settings(
    values: dict[str, Any], trained: list[str], made: list[str]
) -> None:
    config = load_configuration(values)
    assert list(trained_models(config)) == trained
    assert list(made_datasets(config)) == made
    assert all(entry.name == name for name, entry in [*trained_models(config).items(), *made_datasets(config).items()])


BOXES, MASKS = {"architecture": "yolo11n.yaml"}, {"architecture": "yolo11n-seg.yaml"}
CLASSIFIER = Model(
    name="watermark_classification",
    dataset="watermark_detection",
    kind=Kind(rules="classifiers", exports=("{model}.json",), not_for=NOT_FOR),
    purpose="recognise pictures with a watermark",
    untrained_hint="",
    is_trained=lambda config: True,
)


@pytest.mark.parametrize("others", [[], [CLASSIFIER]], ids=["alone", "after a model that is no detector"])
@pytest.mark.parametrize(("detector", "task"), [(BOXES, "detect"), (MASKS, "segment"), (None, "segment")])
def test_labels_are_boxes_only_if_the_detector_of_a_dataset_finds_boxes(
    detector: dict[str, Any] | None, task: str, others: list[Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tessera.catalogue, "MODELS", (*others, *MODELS))
    config = load_configuration({**NO_VIDEOS, "models": {"watermark_detection": detector, "mosaic_detection": None}})
    dataset = next(dataset for dataset in DATASETS if dataset.name == "watermark_detection")
    assert (dataset.name in made_datasets(config)) == bool(detector or others)
    assert label_task(dataset, config) == task


def without_docstrings(file: Path) -> str:
    """Return the text of `file`; of Python, without the descriptions of settings, which have examples."""
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".py":
        return text
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = ""
    return ast.unparse(tree)


def test_nothing_but_the_catalogue_and_the_demo_names_a_dataset_or_a_model() -> None:
    files = [REPOSITORY / "Snakefile", *(file for folder in ("src", "workflow") for file in (REPOSITORY / folder).rglob("*.*"))]
    pattern = "|".join({*NAMES, *(model.name for model in MODELS)})
    texts = [file for file in files if file.suffix in {"", ".py", ".smk", ".rst"}]
    found = {file.relative_to(REPOSITORY).as_posix() for file in texts if re.search(pattern, without_docstrings(file))}
    elsewhere = {name for name in found if "demo" not in name} - {"src/tessera/catalogue.py"}
    assert "src/tessera/catalogue.py" in found
    assert len(elsewhere) <= 2, elsewhere


def test_without_footage_what_sets_of_images_are_enough_for_is_made() -> None:
    one = {"name": "mine", "path": "mine", "content": "general", "rights": "CC0"}
    labels, watermarks = {"annotations": {"labels": [one]}}, {"watermarks": {"sets": [one]}}
    for values, names in (({}, []), (labels, ["nsfw_detection"]), (watermarks, ["watermark_detection"])):
        config = load_configuration(values)
        assert list(made_datasets(config, has_sources=False)) == list(trained_models(config, has_sources=False)) == names


def test_the_sets_of_a_classifier_are_those_of_its_pictures() -> None:
    common = {"path": "x", "content": "general", "rights": "CC0"}
    regions = {"dataset": "watermark_detection", "present": "marked", "absent": "clean"}
    pictures = {"sets": ["mine"], "regions": regions}
    config = load_configuration(
        {
            "watermarks": {"sets": [{"name": "pita", **common}]},
            "annotations": {"image_labels": [{"name": name, "format": "folders", **common} for name in ("mine", "other")]},
            "classifiers": {"marks": {"labels": ["clean", "marked"], "pictures": pictures}},
        }
    )
    assert list(sets_of(dataset_of("marks"), config)) == ["watermarks:pita", "image_labels:mine"]


SERIES = {"image_sets": {"stills": {"layouts": {"plain": {}, "kohya": {}}}, "parts": {"each_series": True}}}


def test_an_image_set_is_made_in_its_layouts_or_once_for_each_series() -> None:
    config = load_configuration(SERIES)
    made = made_datasets(config, series=["Dr. Ä", "other", "", "other"])
    parts = {"parts-Dr.%20%C3%84": "Dr. Ä", "parts-other": "other"}
    assert {name: entry.series for name, entry in made.items() if name not in NAMES} == {"stills": None, **parts}
    assert [image_set_of_part(name) for name in ["stills", *parts]] == ["stills", "parts", "parts"]
    assert made["stills"].layout.folders == ("plain", "kohya") and made["parts-other"].layout.folders == ("plain",)
    # The manifest names a set as a whole.
    assert {dataset.name for dataset in all_datasets(config)} == {*NAMES, "stills", "parts"}
    assert not set(made_datasets(config, has_sources=False, series=["other"])) - set(NAMES)


def test_an_image_set_depends_on_the_gates_that_it_uses() -> None:
    weights = {"source": "mine.onnx", "sha256": "0123456789abcdef" * 4}
    plain = load_configuration(SERIES)
    assert image_set("stills", plain).gates == ("frames",)
    scores = {"stills": {"select": {"scores": {"other": {"max": 1}}}}}
    values = {"declared_classifiers": {"other": {"weights": {**weights, "source": "mine.safetensors"}}}, "image_sets": scores}
    values["crops"] = {"steps": [{"name": "head", "weights": weights}]}
    assert image_set("stills", load_configuration(values)).gates == ("frames", "crops", "scores")


def test_the_settings_of_an_image_set_are_its_own_and_those_of_what_it_shows() -> None:
    sections = settings_of(image_set("stills", load_configuration(SERIES)), load_configuration(SERIES))
    assert "image_sets.stills" in sections and "image_sets.parts" not in sections
    assert sections.keys() >= {"sources", "frames", "crops", "tagger", "identities", "duplicates", "splits"}


def test_the_layouts_of_image_sets_are_those_that_can_be_written() -> None:
    every = {"layouts": {layout: {} for layout in WRITERS}}
    assert image_set("stills", load_configuration({"image_sets": {"stills": every}})).layout.folders == tuple(WRITERS)
    assert set(LayoutSettings.model_fields) == set(WRITERS)


def test_the_formats_of_label_sets_are_those_that_can_be_read() -> None:
    assert get_args(Format) == tuple(READERS)


def test_the_rules_that_describe_datasets_and_models_exist() -> None:
    rules = {rule for text in RULES.values() for rule in re.findall(r"^rule (\w+):", text, re.MULTILINE)}
    rules |= {figure.name for figure in FIGURES if figure.function}
    layouts, kinds = (dataset.layout for dataset in DATASETS), (model.kind for model in MODELS)
    named = {*(layout.datasheet for layout in layouts), *(rule for kind in kinds for rule in (kind.card, kind.table))}
    assert named <= rules
    assert not re.search(r"^ruleorder:", "".join(RULES.values()), re.MULTILINE), "an entry of the catalogue names its writers"
