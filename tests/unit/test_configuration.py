"""Every setting is described, and wrong settings are reported before any job."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match

from tessera.catalogue import model_for, trained_models
from tessera.configuration.changed import changed_settings
from tessera.configuration.confidences import CONFIDENCES, setting, targets_in
from tessera.configuration.read import FILE, Configuration, check_settings_files, load_configuration, read_settings
from tessera.configuration.reference import make_page
from tessera.configuration.renamed import NEW_NAMES
from tessera.configuration.schema import descriptions, make_schema
from tessera.core.errors import TesseraError
from tessera.core.settings import Settings
from tessera.learning.weights.resolve import declared_weights
from tessera.stages.restoration.settings import STAGES, StageSettings

REPOSITORY = Path(__file__).parents[2]
STARTER = REPOSITORY / "examples" / "starter" / "config" / "config.yaml"
OWN, DEMO = REPOSITORY / "config" / "config.yaml", REPOSITORY / "examples" / "demo" / "config" / "config.yaml"
SCHEMA = make_schema()
# Not `jsonschema.validate`, which first checks the whole schema, each time.
VALIDATOR = Draft202012Validator(SCHEMA)


def models_in(kind: Any, known: frozenset[Any] = frozenset()) -> set[type[Settings]]:
    """Return the models of all settings that a value of the type `kind` can have."""
    inner = get_args(kind)
    models = set[type[Settings]]()
    if isinstance(kind, type) and issubclass(kind, Settings) and kind not in known:
        models.add(kind)
        inner = tuple(field.annotation for field in kind.model_fields.values())
    return models.union(*(models_in(each, known | models) for each in inner))


DESCRIBED = {
    f"{model.__name__}.{name}": descriptions(model).get(name, "")
    for model in models_in(Configuration)
    for name in model.model_fields
}


def test_every_setting_is_described_also_in_lists_and_maps() -> None:
    assert len(DESCRIBED) > 600 and not [name for name, text in DESCRIBED.items() if not text]
    assert "KohyaSubset.keep_tokens" in DESCRIBED


def test_each_description_consists_of_whole_sentences() -> None:
    # An example at the end is no sentence.
    broken = {
        name: text
        for name, text in DESCRIBED.items()
        if not ((text[0].isupper() or text[0] == "`") and (text.endswith(".") or "example:" in text))
    }
    assert not broken


def test_the_page_of_all_settings_states_every_default_and_is_up_to_date() -> None:
    page = re.sub(r"For example:\n\n```yaml\n.*?```", "", make_page(), flags=re.DOTALL)
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    # Where the default has no entry, a second block has those of its parts.
    parts = [block for block in blocks if block.startswith("image_sets:\n")]
    stated = {name: value for block in blocks if block not in parts for name, value in yaml.safe_load(block).items()}
    sets = [
        load_configuration(each)
        for each in (yaml.safe_load(*parts), {"image_sets": {"portraits": {"captions": {}, "arrangement": {}}}})
    ]
    assert sets[0] == sets[1]
    assert load_configuration(stated) == load_configuration({})
    assert stated.keys() == Configuration.model_fields.keys()
    assert (REPOSITORY / "docs" / "settings.md").read_text(encoding="utf-8") == make_page(), "run `make schema`"


def test_a_setting_that_a_section_describes_otherwise_is_described_there_too() -> None:
    page = " ".join(re.sub(r"(?m)^ *# ", "", make_page()).split())
    for name in ("FaceDetectorSettings.confidence", "IdentitySettings.weights"):
        assert " ".join(DESCRIBED[name].split()) in page, name


def test_the_description_of_a_stage_states_what_a_stage_has_for_keys_that_it_leaves_out() -> None:
    first, default = STAGES[0].model_dump(), StageSettings(name="stage1").model_dump()
    for key in default:
        stated = f"A stage without this key has `{default[key]}`." in descriptions(StageSettings)[key].replace("\n", " ")
        assert stated == (default[key] != first[key]), key


def test_the_schema_is_up_to_date() -> None:
    assert json.loads(OWN.with_name("config.schema.json").read_text(encoding="utf-8")) == SCHEMA, "run `make schema`"


def test_the_schema_is_valid() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_a_setting_that_models_share_has_one_description() -> None:
    definitions = SCHEMA["$defs"]
    shared = definitions["DetectionSettings"]["properties"]["iou"]["description"]
    assert shared == definitions["RegionDetectionSettings"]["properties"]["iou"]["description"]


def test_all_detectors_run_as_the_section_detection_says_where_they_state_nothing_else() -> None:
    step = {"name": "person", "weights": DECLARED}
    made = load_configuration(
        {
            "detection": {"batch": 3, "iou": 0.2},
            "scenes": {"detect": {"batch": 5}},
            "crops": {"steps": [step, {**step, "name": "head", "batch": 4}]},
        }
    )
    assert made["regions"]["detectors"]["face"]["batch"] == 3 and made["scores"]["detectors"]["nsfw"]["iou"] == 0.2
    assert made["scenes"]["detect"]["batch"] == 5 and made["scenes"]["detect"]["iou"] == 0.2
    assert [each["batch"] for each in made["crops"]["steps"]] == [3, 4]
    assert made["crops"]["steps"][0]["iou"] == 0.5, "the overlap of crops is their own"
    assert load_configuration(made) == made
    sets = {"detection": {"batch": 3, "iou": 0.2}, "face_sets": {"ada": {"subject": "Ada", "sources": ["film"]}}}
    made = load_configuration(sets)
    assert made["face_sets"].keys() == {"ada"} and made["face_sets"]["ada"]["detector"]["batch"] == 3
    assert made["face_sets"]["ada"]["detector"]["iou"] == 0.3, "the overlap of faces is their own"


def test_null_removes_an_entry_of_an_earlier_file() -> None:
    assert load_configuration({"image_sets": {"stills": {}, "others": None}})["image_sets"].keys() == {"stills"}
    assert load_configuration({"search": {"one": None}, "classifiers": {"blur": None}}) == load_configuration({})


def test_gates_have_one_default() -> None:
    gates = load_configuration({"gates": {"default": 0.3, "frames": 0.1}})["gates"]
    assert gates["frames"] == 0.1 and gates["labels"] == gates["crops"] == 0.3 and gates["sources"] == 0.5


def test_the_files_that_come_with_tessera_fit_the_schema_and_name_it() -> None:
    for file in (OWN, DEMO, STARTER):
        text = file.read_text(encoding="utf-8")
        VALIDATOR.validate(yaml.safe_load(text))
        schema = text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
        assert (file.parent / schema).resolve() == OWN.with_name("config.schema.json")


def test_the_file_of_a_new_project_is_short_and_its_comments_state_the_defaults() -> None:
    text = OWN.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    shown = yaml.safe_load(re.sub(r"^#(?=  |\w+:)", "", text, flags=re.MULTILINE))
    del shown["annotations"]  # an example, and where people put their labels
    defaults = load_configuration({})
    assert load_configuration(shown) == defaults


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"models": {"nsfw_detection": None}},
        {"scenes": {"detect": {"weights": {"source": "a.pt", "sha256": "0123456789abcdef" * 4}}}},
        {"models": {"nsfw_detection": {"training": {"lr0": 0.1}}}},
        {"shards": 4},
    ],
)
def test_settings_that_the_models_accept_fit_the_schema(values: dict[str, Any]) -> None:
    VALIDATOR.validate(values)


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"split": {}}, []),
        ({"splits": {"vall": 0.1}}, ["splits"]),
        ({"gates": {"frames": 2}}, ["gates", "frames"]),
        ({"splits": None}, ["splits"]),
        ({"frames": {"mode": "some"}}, ["frames", "mode"]),
        ({"mosaics": {"scale": [1.0]}}, ["mosaics", "scale"]),
        ({"annotations": {"labels": [{"name": "x"}]}}, ["annotations", "labels", 0]),
        ({"degradations": {"detection": [{"blurr": {}}]}}, ["degradations", "detection", 0]),
    ],
)
def test_a_wrong_setting_does_not_fit_the_schema(values: dict[str, Any], place: list[str | int]) -> None:
    error = best_match(VALIDATOR.iter_errors(values))
    assert error and list(error.absolute_path) == place


def test_unset_settings_have_their_defaults() -> None:
    assert load_configuration({}) == Configuration().model_dump(mode="json")
    assert load_configuration({"gates": {"frames": 0.2}})["gates"] == {**Configuration().gates.model_dump(), "frames": 0.2}


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"split": {}}, ["split: unknown key; did you mean 'splits'?"]),
        ({"splits": {"vall": 0.1}}, ["splits.vall: unknown key; did you mean 'val'? (allowed: shared, test, val)"]),
        (
            {"splits": {"val": "much"}},
            ["splits.val: should be a number, without a unit and with a point for decimals; given: 'much'"],
        ),
        ({"gates": {"frames": 2}}, ["gates.frames: Input should be less than or equal to 1", "given: 2"]),
        (
            {"shards": "all"},
            ["shards: Input should be 'auto' or 'per_source'", "; or should be a whole number", "given: 'all'"],
        ),
        ({"shards": 0}, ["shards: ", "greater than 0", "given: 0"]),
        (
            {"name": True},
            [
                "name: ",
                "given: True (in YAML, yes, no, on and off are true and false: put text in quotes, and write null for nothing)",
            ],
        ),
        (
            {"models": {"nsfw_detection": "none"}},
            ["should be a section", "'none' (in YAML, that is text: write null for nothing)"],
        ),
        ({"seed": "1e3"}, ["seed: ", "given: '1e3' (in YAML, that is text: write 1.0e3)"]),
        (
            {"models": {"nsfw_detection": {"training": {"lr0": "1e-3"}}}},
            ["lr0: should be float; given: '1e-3' (", "write 1.0e-3)"],
        ),
        ({"sources": {"blocklist": "b{x}.tsv"}}, ["sources.blocklist: ", "must not contain <, >, { or }", "given: 'b{x}.tsv'"]),
        ({"seed": -1}, ["seed: ", "greater than or equal to 0", "given: -1"]),
        (
            {"models": {"mosaic": {}}},
            ["models.mosaic: unknown key", "(allowed: mosaic_detection, nsfw_detection, watermark_detection)"],
        ),
        ({"annotations": {"labels": [{"nam": "x"}]}}, ["annotations.labels.0.nam: unknown key; did you mean 'name'?"]),
        ({"splits": None}, ["splits: should be a section", "given: null, or nothing after the colon (leave the key out"]),
        (
            {"watermarks": {"sets": [{"name": "x", "path": "https://a.org/b.zip", "content": "general", "rights": "CC0"}]}},
            ["watermarks.sets.0.path: should be a path, not an address; download the file", "given: 'https://a.org/b.zip'"],
        ),
    ],
)
def test_a_wrong_setting_is_explained(values: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(TesseraError) as error:
        load_configuration(values)
    for part in parts:
        assert part in str(error.value)


def numbers(node: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every number in `node`, and of every null, which may stand for one."""
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from numbers(value, *path, key)
    elif node is None or type(node) in {int, float}:
        yield path


def filled(node: Any, value: Any) -> Any:
    """Return `node` with `value` in place of every number and of every null."""
    if isinstance(node, dict):
        return {key: filled(each, value) for key, each in node.items()}
    if isinstance(node, list):
        return [filled(each, value) for each in node]
    return value if node is None or type(node) in {int, float} else node


def refused(values: dict[str, Any]) -> set[str]:
    """Return the paths of the settings that the error about `values` names, with dots between the keys."""
    with pytest.raises(TesseraError) as error:
        load_configuration(values)
    listed = re.findall(r"^  ([\w.]+): (.*)", str(error.value), re.M)
    arguments = {f"{key}.{name}" for key, faults in listed for name in re.findall(r"(?:^|; )(\w+): should", faults)}
    return arguments | {key for key, _ in listed}


DEFAULTS = Configuration().model_dump(mode="json")
# These are null, and may be text.
TEXTS = {
    "annotations.frame_labels",
    "ask.embedding",
    "ask.model",
    "harvest.table",
    "restoration.stages.0.base",
    "score.folder",
    "score.label",
    "score.model",
    "watermarks.draw.fonts",
    "watermarks.draw.logos",
}
NUMBERS = {".".join(map(str, path)) for path in numbers(DEFAULTS)} - TEXTS


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "much"])
def test_no_number_may_be_negative_infinite_or_text(value: float | str) -> None:
    # With -1, ultralytics fills the memory of the GPU.
    allowed = {f"models.{name}.training.batch" for name in DEFAULTS["models"] if value == -1}
    # Scores of a classifier may be negative.
    allowed |= {name for name in NUMBERS if name.startswith("score.brackets.") and value == -1}
    assert NUMBERS - refused(filled(DEFAULTS, value)) == allowed


def test_the_schema_says_which_numbers_may_be_zero() -> None:
    def places(error: ValidationError) -> Iterator[str]:
        yield ".".join(map(str, error.absolute_path))
        for inner in error.context:
            yield from places(inner)

    zeros = filled(DEFAULTS, 0)
    stated = {place for error in VALIDATOR.iter_errors(zeros) for place in places(error)}
    # The schema does not describe arguments of ultralytics.
    described = {name for name in NUMBERS if ".training." not in name or name.startswith("restoration")}
    assert refused(zeros) & described == stated & described


def test_all_wrong_settings_are_listed_at_once() -> None:
    with pytest.raises(TesseraError, match=r"the configuration has 3 faults:"):
        load_configuration({"seed": -1, "gates": {"frames": 2}, "nonsense": 1})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            b"seed: 1\nframes:\n  mode: all\n x: [1\n",
            "my.yaml: line 4, column 2: did not find expected key; indent the keys of a section alike",
        ),
        (
            b"seed: 1\n\tshards: 2\n",
            "my.yaml: line 2, column 1: found a tab character that violates indentation; indent with spaces",
        ),
        (b"seed: *one\n", "my.yaml: line 1, column 7: found undefined alias"),
        (b"seed: 1 # \xff\n", "my.yaml: not UTF-8 (invalid start byte at byte 10); save it as UTF-8"),
        (
            b"annotations: {min_area: 4}\nseed: 1\n\nannotations: {}\n",
            "my.yaml: line 4: the key 'annotations' is given twice, first in line 1, and only one would count; write",
        ),
        (b"a:\n- b: 1\n  c: {d: 1, d: 2}\n", "my.yaml: line 3: the key 'd' is given twice, first in line 3"),
        (b"a: {x: 1, 'x': 2}", "my.yaml: line 1: the key 'x' is given twice"),
        (b"- seed\n", "my.yaml: holds no settings; write keys and values"),
        (b"a: 1\nseed: 010\n", "my.yaml: line 2: YAML reads 010 as another number; write"),
        (b"frames: {max_side: 1:30}\n", "my.yaml: line 1: YAML reads 1:30 as another number; write"),
        (
            b"frames:\n\tmode: all\n",
            "line 2, column 1: found character that cannot start any token; indent with spaces instead",
        ),
        (b"name: @home\n", "line 1, column 7: found character that cannot start any token; put the value in quotes"),
        (b"name: Part: two\n", "line 1, column 11: mapping values are not allowed in this context; put a value that contains"),
        (b"frames\n  mode: all\n", "line 2, column 7: mapping values are not allowed in this context; put a value that"),
        (b"name: 'Ada's'\n", "line 1, column 12: did not find expected key; indent the keys"),
        (
            b'seed: 1\nname: "my\nshards: 2\n',
            "line 4, column 1: found unexpected end of stream; close the quote that begins in line 2",
        ),
        (b'manifest: "C:\\Users\\x"\n', "line 1, column 16: did not find expected hexdecimal number; write a path with single"),
        (b" seed: 1\nshards: 2\n", "line 2, column 1: did not find expected <document start>; indent"),
        (b"<<<<<<< HEAD\nseed: 1\n=======\nseed: 2\n>>>>>>> b\n", "a conflict that git left: keep what belongs to one side"),
        ("seed: 1\n".encode("utf-16"), "my.yaml: not UTF-8 (invalid start byte at byte 0); save it as UTF-8"),
        (b"seed: 1 # \x00\n", "my.yaml: not YAML (unacceptable character"),
        (None, "my.yaml: cannot be read (No such file or directory); fix the path"),
    ],
)
def test_a_broken_file_of_settings_is_named_with_its_line(tmp_path: Path, text: bytes | None, fault: str) -> None:
    file = tmp_path / "my.yaml"
    if text is not None:
        file.write_bytes(text)
    with pytest.raises(TesseraError) as error:
        read_settings(file)
    assert fault in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["config/config.yml", "config/Config.yaml", "config/config.yaml.txt", "config.yaml"])
def test_settings_under_another_name_are_not_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.schema.json").touch()
    check_settings_files([], {})
    (tmp_path / name).write_text("seed: 1\n")
    with pytest.raises(TesseraError, match=f"no such file; if {name!r} is meant, save it as 'config/config.yaml'"):
        check_settings_files([], {})
    with pytest.raises(TesseraError, match=rf"cannot be read \(No such file or directory\); if {name!r} is meant"):
        read_settings(FILE)
    check_settings_files([name], {})  # it is named in the command line
    check_settings_files([], {"seed": 1})  # another workflow gives the settings


def test_a_file_of_settings_can_be_checked_without_a_run(tmp_path: Path) -> None:
    check = [sys.executable, "-m", "tessera.configuration"]
    sound = subprocess.run([*check, DEMO], check=True, capture_output=True, text=True)
    assert sound.stdout == f"{DEMO}: no fault found\n"
    two = subprocess.run([*check, OWN, DEMO], capture_output=True, text=True, check=False)
    assert two.returncode == 1 and "name one file" in two.stderr
    own = subprocess.run(check, check=True, capture_output=True, text=True, cwd=REPOSITORY)
    assert own.stdout == "config/config.yaml: no fault found\n"
    ran = subprocess.run([*check, tmp_path / "gone.yaml"], capture_output=True, text=True, check=False)
    assert ran.returncode == 1 and "gone.yaml: cannot be read (No such file" in ran.stderr and "Traceback" not in ran.stderr


def test_a_wrong_setting_is_named_with_its_line_and_an_earlier_name_with_the_new_one(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("seed: 1\nframes:\n  intervall: 2\n  interval: 3\n")
    second.write_text("annotations:\n  labels:\n    - name: a\n      pth: b\nscenes: {choose: {stride: 2}}\n")
    merged = {**read_settings(first), **read_settings(second)}
    with pytest.raises(TesseraError) as error:
        load_configuration(merged, [first, second])
    for part in (
        f"{first}: line 3: frames.intervall: unknown key; did you mean 'interval",
        f"{first}: line 4: frames.interval: is called `frames.interval_seconds` now",
        f"{second}: line 4: annotations.labels.0.pth: unknown key; did you mean 'path'?",
        f"{second}: line 5: scenes.choose.stride: is called `scenes.choose.gap_seconds` now",
    ):
        assert part in str(error.value)


def test_every_new_name_of_a_setting_exists() -> None:
    for old, new in NEW_NAMES.items():
        setting(DEFAULTS, new)  # raises KeyError if there is none
        with pytest.raises(KeyError):
            setting(DEFAULTS, old)


def test_keys_of_two_mappings_and_aliases_are_no_repetition(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("a: &a {x: 1}\nb: {x: *a, y: *a}\nc: [{x: 1}, {x: 2}]\nd: {<<: *a, z: 2}\n")
    assert read_settings(tmp_path / "my.yaml")["d"] == {"x": 1, "z": 2}


IMAGES = {"content": "general", "rights": "CC0", "path": "x"}


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        (
            {"annotations": {"labels": [{"name": "s", **IMAGES, "classes": {"car": "nswf", "dog": None}}]}},
            "labels: 's': `classes` says that 'car' is 'nswf', which is no class of nsfw_detection; did you mean 'nsfw'?",
        ),
        (
            {"annotations": {"labels": [{"name": "s", **IMAGES, "use": "watermark_detection", "classes": {"*": "nsfw"}}]}},
            "'nsfw', which is no class of watermark_detection. It should be one of 'watermark', or null",
        ),
        ({"watermarks": {"sets": [{"name": "s", **IMAGES, "classes": {"logo": "watermrk"}}]}}, "did you mean 'watermark'?"),
        (
            {
                "annotations": {"image_labels": [{"name": "s", **IMAGES, "classes": {"soft": "blured"}}]},
                "classifiers": {"blur": {"labels": ["sharp", "blurred"], "pictures": {"sets": ["s"]}}},
            },
            "image_labels: 's': `classes` says that 'soft' is 'blured', which is no class of blur; did you mean 'blurred'?",
        ),
        (
            {
                "comparisons": {
                    "watermark_detection": [
                        {"name": "other", "source": "a.pt", "sha256": "0123456789abcdef" * 4, "classes": {"item": "watermarks"}}
                    ]
                }
            },
            "`comparisons.watermark_detection`: 'other': `classes` says that 'item' is 'watermarks'",
        ),
    ],
)
def test_classes_mean_classes_that_there_are(values: dict[str, Any], fault: str) -> None:
    with pytest.raises(TesseraError, match=re.escape(fault)):
        load_configuration(values)


@pytest.mark.parametrize(("given", "meant"), [(True, "yes"), (False, "no"), ("yes", "yes"), ("", "")])
def test_the_yaml_value_yes_may_be_true(given: bool | str, meant: str) -> None:
    label_set = {"name": "studio", "path": "studio", "content": "general", "rights": "CC0", "adults_verified": given}
    loaded = load_configuration({"annotations": {"labels": [label_set]}})
    assert loaded["annotations"]["labels"][0]["adults_verified"] == meant


@pytest.mark.parametrize("model", ["nsfw_detection", "mosaic_detection"])
def test_an_architecture_without_masks_is_refused_if_masks_are_needed(model: str) -> None:
    with pytest.raises(TesseraError, match=rf"models\.{model}\.architecture: 'yolo11n.yaml' finds only boxes, but masks are"):
        load_configuration({"models": {model: {"architecture": "yolo11n.yaml"}}})
    load_configuration({"models": {"watermark_detection": {"architecture": "yolo11n-seg.yaml"}}})


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        (
            {"models": {"nsfw_detection": None}},
            "`regions.detectors.nsfw.weights` is `trained`, and `models.nsfw_detection` is null",
        ),
        ({"models": {"watermark_detection": None}}, "`regions.detectors.watermark.weights` is `trained`"),
        (
            {"models": {"nsfw_detection": None}, "scores": {"detectors": {"nsfw": {"weights": "trained"}}}},
            "`scores.detectors.nsfw.weights` is `trained`, and `models.nsfw_detection` is null",
        ),
        (
            {"models": {"watermark_detection": None}, "regions": {"detectors": {"watermark": {"weights": None}}}},
            "`scores.detectors.watermark.weights` is `trained`",
        ),
        (
            {
                "models": {"watermark_detection": None},
                "regions": {"detectors": {"watermark": {"weights": None}}},
                "scores": {"detectors": {"watermark": {"weights": None}}},
            },
            "",
        ),
        (
            {"models": {"nsfw_detection": None, "watermark_detection": None, "mosaic_detection": None}},
            "`scenes.detect.weights` is `trained`, and `models.nsfw_detection` is null",
        ),
        (
            {
                "models": {"nsfw_detection": None, "watermark_detection": None, "mosaic_detection": None},
                "scenes": {"detect": {"weights": None}},
            },
            "",
        ),
    ],
)
def test_an_untrained_model_is_an_error_only_if_it_is_needed(values: dict[str, Any], fault: str) -> None:
    if not fault:
        assert load_configuration(values)["models"]["watermark_detection"] is None
        return
    with pytest.raises(TesseraError) as error:
        load_configuration(values)
    assert f"\n  {fault}" in str(error.value), "no empty key before it"


DECLARED = {"source": "mine.pt", "sha256": "0123456789abcdef" * 4}
NULLS = {"nsfw_detection": None, "watermark_detection": None, "mosaic_detection": None}


def test_all_that_an_untrained_model_lacks_is_said_at_once() -> None:
    models = {"nsfw_detection": None, "watermark_detection": None}
    with pytest.raises(TesseraError) as error:
        load_configuration({"models": models, "regions": {"choose": {"confidence": {"face": 0.01}}}})
    title, *faults = str(error.value).splitlines()
    assert title == "the configuration has 5 faults:"
    wanted = [
        "regions.detectors.nsfw.weights",
        "regions.detectors.watermark.weights",
        "regions.choose.confidence.face",
        "scenes.detect.weights",
        "scores.detectors.watermark.weights",
    ]
    assert [re.findall(r"`([\w.]+)`", fault)[0] for fault in faults] == wanted
    assert all("(`models.mosaic_detection: null` needs none of the detectors in `regions`)" in fault for fault in faults[:2])
    assert all("(`scenes.detect.weights: null` makes no clips at all)" in fault for fault in faults[3:])


@pytest.mark.parametrize(
    ("values", "trained"),
    [
        ({"models": {**NULLS, "nsfw_detection": {}}, "scenes": {"detect": {"weights": None}}}, ["nsfw_detection"]),
        ({"models": {**NULLS, "watermark_detection": {}}, "scenes": {"detect": {"weights": None}}}, ["watermark_detection"]),
        (
            {
                "models": {**NULLS, "mosaic_detection": {}},
                "regions": {"detectors": {"nsfw": {"weights": DECLARED}, "watermark": {"weights": None}}},
                "scenes": {"detect": {"weights": None}},
            },
            ["mosaic_detection"],
        ),
        (
            {
                "models": NULLS,
                "scenes": {"detect": {"weights": DECLARED}},
                "scores": {"detectors": {"watermark": {"weights": None}}},
            },
            ["mosaic_restoration"],
        ),
    ],
)
def test_one_model_alone_can_be_made(values: dict[str, Any], trained: list[str]) -> None:
    assert list(trained_models(load_configuration(values))) == trained


@pytest.mark.parametrize(
    ("values", "answer"),
    [
        ({"regions": {"detectors": {"face": {"weights": "trained"}}}}, "should be null, a name in "),
        ({"regions": {"detectors": {"nsfw": {"weights": "mine.pt"}}}}, "should be trained, anywhere, null, a name in "),
        ({"models": {"nsfw_detection": {"weights": "mine.pt"}}}, "should be null, starter, a name in "),
        ({"regions": {"detectors": {"nsfw": {"weights": {"source": "mine.pt"}}}}}, "weights.sha256: is missing"),
    ],
)
def test_the_allowed_values_of_weights_are_listed_once(values: dict[str, Any], answer: str) -> None:
    with pytest.raises(TesseraError, match=r"has 1 fault:") as error:
        load_configuration(values)
    assert str(error.value).count("should be") <= 1
    assert answer in str(error.value)


def test_compared_weights_can_be_told_apart() -> None:
    other = "fedcba98765432100123456789abcdef" * 2
    declared = {"source": "theirs.pt", "sha256": "0123456789abcdef" * 3 + "fedcba9876543210"}
    mine = {"name": "nsfw_detection", "source": "mine.pt", "sha256": other.replace("00", "10")}
    twice = [{"name": "theirs", **declared}, {"name": "theirs too", **declared}, mine]
    with pytest.raises(TesseraError) as error:
        load_configuration({"comparisons": {"nsfw_detection": twice}})
    assert "`comparisons.nsfw_detection`: 2 models are called 'nsfw_detection'; give each a name" in str(error.value)
    assert f"'theirs', 'theirs too' are the same file, with the sha256 {declared['sha256']}" in str(error.value)
    with pytest.raises(TesseraError, match=r"comparisons\.nfsw_detection: unknown key; did you mean 'nsfw_detection'"):
        load_configuration({"comparisons": {"nfsw_detection": twice[:1]}})
    with pytest.raises(TesseraError, match=r"`comparisons\.mosaic_restoration`: 2 models are called 'restored'"):
        load_configuration({"comparisons": {"mosaic_restoration": [{**twice[0], "name": "restored"}]}})
    with pytest.raises(TesseraError, match=r"comparisons\.mosaic_restoration.*should match pattern"):
        load_configuration({"comparisons": {"mosaic_restoration": [{**twice[0], "name": "a/b"}]}})
    settings = load_configuration({"comparisons": {"nsfw_detection": [{**twice[0], "classes": {"mosaic": "nsfw"}}]}})
    assert [place for place, _ in declared_weights(settings)] == ["comparisons.nsfw_detection.0"]


REACH = {"target": "precision", "at_least": 0.9}


def nested(place: str, value: Any) -> dict[str, Any]:
    for name in reversed(place.split(".")):
        value = {name: value}
    return value


@pytest.mark.parametrize("place", CONFIDENCES)
def test_each_confidence_of_a_trained_detector_may_be_a_target(place: str) -> None:
    finds, detector, records = CONFIDENCES[place]
    values = nested(f"{detector}.weights", "trained") if detector else {}
    config = load_configuration(merged(values, nested(place, REACH)))
    assert setting(config, place) == REACH
    part = place.split(".", 1)[0]
    (target,) = targets_in(config, part, previewed="nsfw_detection")
    assert target["place"] == place and target["model"] == (model_for(finds) or "nsfw_detection")
    assert target["lowest"] == (setting(config, records) if records else 0)
    assert targets_in(load_configuration({}), part) == []
    if detector:
        with pytest.raises(
            TesseraError, match=f"`{place}` is a precision, which is measured only .* `{detector}.weights: trained"
        ):
            load_configuration(merged(nested(f"{detector}.weights", DECLARED), nested(place, REACH)))


def test_a_target_of_a_model_that_is_not_trained_here_is_a_fault() -> None:
    values = {"models": NULLS, "scenes": {"detect": {"weights": None}}, "preview": {"confidence": REACH}}
    with pytest.raises(TesseraError, match=r"`preview\.confidence` .* or train `models\.nsfw_detection`, which is null"):
        load_configuration(values)
    del values["preview"]
    values["restore"] = {"choose": {"confidence": REACH}}
    with pytest.raises(TesseraError, match=r"`restore\.choose\.confidence` .* or train `models\.mosaic_detection`"):
        load_configuration(values)


def test_restored_videos_are_no_previews_any_more() -> None:
    with pytest.raises(TesseraError, match=r"preview\.restore: is called `restore` now"):
        load_configuration({"preview": {"restore": {"weights": None}}})
    with pytest.raises(TesseraError, match=r"restore\.choose\.minimum: is called `restore\.choose\.min_seconds` now"):
        load_configuration({"restore": {"choose": {"minimum": 0.1}}})
    with pytest.raises(
        TesseraError, match=r"preview\.model: should be one of nsfw_detection, .*; `snakemake restore` restores"
    ):
        load_configuration({"preview": {"model": "mosaic_restoration"}})


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = one.keys() & other.keys()
    return {**one, **other, **{name: merged(one[name], other[name]) for name in both}}


LEVELS = {"levels": [{"label": "clean"}, {"label": "blurred"}]}
CLASSIFIERS = {
    "classifiers": {"blur": {"labels": ["clean", "blurred"], "pictures": {"degraded": LEVELS}}},
    "declared_classifiers": {"other": {"weights": DECLARED}},
}
USED = {"scores": {"classifiers": ["blur", "other"]}}


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("blur", {"pictures": {}}, "`classifiers.blur.pictures` names no pictures"),
        ("blur", {"labels": ["clean", "sharp"]}, "has blurred, and the classes are clean, sharp"),
        ("blur", {"labels": {"least": 0.0, "most": 1.0}}, "gives a score, and its pictures have classes"),
        ("blur", {"pictures": {"sets": ["mine"]}}, "names 'mine'; `annotations.image_labels` has none"),
        (
            "blur",
            {"pictures": {"regions": {"dataset": "none", "present": "clean", "absent": "blurred"}}},
            "is none; datasets of regions that are made are nsfw_detection",
        ),
        (
            "blur",
            {"architecture": "head", "embedding": "look"},
            "`classifiers.blur.embedding` is 'look'; `embeddings` has none",
        ),
        ("blur", {"hidden": 64}, "`classifiers.blur.hidden` is for `architecture: head` alone"),
        ("blur", {"export": {"city": True}}, "CityClassifiers loads only the architecture 'head'"),
        (
            "blur",
            {"label_errors": {"embedding": "look"}},
            "`classifiers.blur.label_errors.embedding` is 'look'; `embeddings` has none",
        ),
        ("mosaic_detection", {}, "there is a dataset or a model of this name"),
        ("Blur!", {}, "should match pattern"),
    ],
)
def test_a_classifier_that_could_not_be_trained_is_refused(name: str, change: dict[str, Any], told: str) -> None:
    good = {"labels": ["clean", "blurred"], "pictures": {"degraded": LEVELS}}
    assert load_configuration({"classifiers": {"blur": good}})["classifiers"]["blur"]["architecture"] == "resnet18"
    with pytest.raises(TesseraError, match=re.escape(told)):
        load_configuration({"classifiers": {name: {**good, **change}}})


def test_a_declared_classifier_has_a_name_of_its_own_and_is_no_onnx_model() -> None:
    with pytest.raises(TesseraError, match=r"there is a `declared_classifiers\.blur`"):
        load_configuration({**CLASSIFIERS, "declared_classifiers": {"blur": {"weights": DECLARED}}})
    head = {"weights": {**DECLARED, "source": "model.onnx"}, "embedding": "look"}
    with pytest.raises(TesseraError, match=r"should be the \.safetensors that was exported beside the ONNX model of a head"):
        load_configuration({"declared_classifiers": {"other": head}})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"scores": {"classifiers": ["blurr"]}}, "`scores.classifiers` names 'blurr'; `classifiers` and"),
        ({"filters": {"classifiers": {"blur": {"label": "blurred", "max": 0.5}}}}, "which is not scored: add it to"),
        (
            {"drops": {"mosaic_restoration": {"blur": {"label": "blurred", "max": 1}}}},
            "`drops` names 'mosaic_restoration'; frames",
        ),
        ({"drops": {"mosaic_detection": {"blurr": {"max": 1}}}}, "`drops.mosaic_detection` names 'blurr'"),
        ({"drops": {"mosaic_detection": {"blur": {"max": 1}}}}, "`drops.mosaic_detection.blur` does not fit"),
        ({**USED, "filters": {"classifiers": {"blur": {"max": 0.5}}}}, "set `label` to one of clean, blurred"),
        ({**USED, "filters": {"classifiers": {"blur": {"label": "sharp", "max": 1}}}}, "it has no class 'sharp'"),
        ({"declared_classifiers": {"other": {"weights": DECLARED, "embedding": "look"}}}, "is 'look'; `embeddings` has none"),
        ({"score": {"model": "blurr"}}, "`score.model` names 'blurr'"),
        ({"score": {"model": "blur", "label": "sharp"}}, "`score` does not fit `classifiers.blur`: it has no class 'sharp'"),
        ({"score": {"brackets": [0, 0.5, 0.5]}}, "score.brackets: should ascend"),
        ({**USED, "filters": {"classifiers": {"blur": {"label": "clean"}}}}, "should have a `min` or a `max`"),
        ({**USED, "filters": {"classifiers": {"blur": {"label": "clean", "min": 1, "max": 0}}}}, "`min` should not be above"),
    ],
)
def test_limits_that_do_not_fit_a_classifier_are_refused(change: dict[str, Any], told: str) -> None:
    fitting = {**USED, "filters": {"classifiers": {"blur": {"label": "blurred", "max": 0.5}, "other": {"min": 0.5}}}}
    assert load_configuration({**CLASSIFIERS, **fitting})
    with pytest.raises(TesseraError, match=re.escape(told)):
        load_configuration({**CLASSIFIERS, **change})


@pytest.mark.parametrize(
    ("name", "select", "told"),
    [
        ("mosaic_detection", {}, "`image_sets.mosaic_detection`: there is a dataset, a model or a classifier of this name"),
        ("blur", {}, "`image_sets.blur`: there is a dataset, a model or a classifier of this name"),
        ("a-b", {}, "should match pattern"),  # the name of the part with the series b
        (
            "stills",
            {"of": ["frames", "heads"]},
            "`image_sets.stills.select.of` names 'heads'; it can name frames, person, head",
        ),
        ("stills", {"tags": {"all": ["solo"]}}, "`image_sets.stills.select.tags` needs tags, and `tagger` is null"),
        ("stills", {"tags": {"none": ["solo"]}}, "`image_sets.stills.select.tags` needs tags, and `tagger` is null"),
        ("stills", {"identities": "any"}, "`image_sets.stills.select.identities` needs identities, and `identities` is null"),
        (
            "stills",
            {"scores": {"blurr": {"max": 1}}},
            "names 'blurr'; `classifiers` and `declared_classifiers` have blur, other",
        ),
        ("stills", {"scores": {"blur": {"max": 1}}}, "does not fit `classifiers.blur`: it predicts classes"),
        ("stills", {"scores": {"blur": {"label": "sharp", "max": 1}}}, "it has no class 'sharp'"),
    ],
)
def test_an_image_set_that_could_not_be_selected_is_refused(name: str, select: dict[str, Any], told: str) -> None:
    steps = [{"name": each, "weights": DECLARED} for each in ("person", "head")]
    # A classifier of others, whose classes are not known here, has no label to compare.
    scores = {"blur": {"label": "blurred", "max": 0.5}, "other": {"label": "anything", "max": 0.5}}
    fitting = {
        **CLASSIFIERS,
        "crops": {"steps": steps},
        "image_sets": {"stills": {"select": {"of": ["head"], "scores": scores}}},
    }
    assert load_configuration(fitting)
    with pytest.raises(TesseraError, match=re.escape(told)):
        load_configuration({**fitting, "image_sets": {name: {"select": select}}})


def test_all_that_image_sets_lack_is_said_at_once() -> None:
    wanting = {"select": {"of": ["heads"], "tags": {"all": ["solo"]}, "identities": ["alice"]}}
    with pytest.raises(TesseraError) as refused:
        load_configuration({"image_sets": {"one": wanting, "other": wanting}})
    for name in ("one", "other"):
        assert all(f"`image_sets.{name}.select.{key}`" in str(refused.value) for key in ("of", "tags", "identities"))


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("Cast", {}, "image_sets.Cast"),
        ("../x", {}, "image_sets"),
        ("cast", {"select": {"identities": ["Ada"]}}, "`image_sets.cast.select.identities` needs identities"),
        ("cast", {"arrangement": {"folders": ["series", "character"]}}, "folders: character` needs identities"),
        ("cast", {"layouts": {"plain": None}}, "should name a layout"),
    ],
)
def test_an_image_set_that_could_not_be_made_as_meant_is_refused(name: str, change: dict[str, Any], told: str) -> None:
    with pytest.raises(TesseraError, match=re.escape(told)):
        load_configuration({**CLASSIFIERS, "image_sets": {name: change}})


def test_a_classifier_that_would_choose_what_it_learns_from_is_refused() -> None:
    marks = {"labels": ["clean", "marked"]}
    marks["pictures"] = {"regions": {"dataset": "mosaic_detection", "present": "marked", "absent": "clean"}}
    limit = {"marks": {"label": "marked", "max": 0.5}}
    usual = {"classifiers": {"marks": marks}, "scores": {"classifiers": ["marks"]}, "filters": {"classifiers": limit}}
    assert load_configuration({**usual, "drops": {}})
    with pytest.raises(TesseraError, match=r"marks needs mosaic_detection \(`classifiers\.marks\.pictures\.regions`\)"):
        load_configuration({**usual, "drops": {"mosaic_detection": limit}})
    look = {"kind": "detector", "weights": "trained", "detector": "mosaic_detection"}
    head = {"embeddings": {"look": look}, "declared_classifiers": {"head": {"weights": DECLARED, "embedding": "look"}}}
    with pytest.raises(TesseraError, match=r"head needs mosaic_detection \(`declared_classifiers\.head\.embedding`\)"):
        load_configuration({**head, "drops": {"mosaic_detection": {"head": {"label": "marked", "max": 0.5}}}})
    with pytest.raises(TesseraError, match=r"mosaic_detection needs nsfw_detection \(`regions\.detectors\.nsfw`\)"):
        load_configuration({**usual, "drops": {"nsfw_detection": limit}})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model": "sharp"}, "search.one.model: should be one of nsfw_detection, watermark_detection, mosaic_detection, blur;"),
        ({"model": "mosaic_restoration"}, "search.one.model: should be one of"),
        ({"metric": "map50"}, "search.one.metric: should be one of loss, accuracy; given: 'map50'"),
        ({"space": {"training.rate": [1]}}, "search.one.space.training.rate: 1 is not allowed (training.rate: unknown key"),
        (
            {"space": {"augmentation.flip": {"from": 0, "to": 2}}},
            "flip: 2.0 is not allowed (augmentation.flip: Input should be",
        ),
        ({"space": {"training.batch": {"from": 8, "to": 64}}}, "whole numbers are a list, or a range with a whole `step`"),
        (
            {"space": {"architecture": ["resnet18", "resnet19"]}},
            "'resnet19' is not allowed (architecture: timm has no architecture",
        ),
        ({"space": {"architecture.depth": [1]}}, "search.one.space.architecture.depth: 1 is not allowed (architecture.depth:"),
        ({"space": {"labels": ["x"]}}, "space.labels: only architecture, image_size, resize, augmentation, training change"),
        ({"space": {"training.class_weights": ["none", "balanced"]}}, "training.class_weights changes what 'loss' means; seek"),
        ({"model": "nsfw_detection", "space": {"training.lr": [1]}}, "unknown training argument of ultralytics"),
        ({"model": "watermark_detection", "space": {"architecture": ["yolo11n-seg.yaml"]}}, "all should find masks (-seg), or"),
        ({"space": {}}, "search.one.space: Dictionary should have at least 1 item"),
    ],
)
def test_a_search_of_what_cannot_be_trained_is_refused(change: dict[str, Any], told: str) -> None:
    classifier = {"labels": ["clean", "blurred"], "pictures": {"degraded": LEVELS}}
    good = {
        "model": "blur",
        "space": {"training.learning_rate": {"log": [1e-4, 1e-2]}, "training.batch": {"from": 8, "to": 64, "step": 8}},
    }
    found = load_configuration({"classifiers": {"blur": classifier}, "search": {"one": good}})["search"]["one"]
    assert found["space"]["training.batch"] == {"from": 8, "to": 64, "step": 8} and found["trials"] == 20
    with pytest.raises(TesseraError, match=re.escape(told)):
        load_configuration({"classifiers": {"blur": classifier}, "search": {"one": {**good, **change}}})


def test_changed_settings_are_few_and_say_everything() -> None:
    given = load_configuration(read_settings(DEMO))
    changed, defaults = changed_settings(given)
    assert load_configuration(changed) == given
    assert changed["frames"] == {"mode": "every", "every_frames": 8}
    assert defaults["frames"] == {"mode": "interval", "every_frames": 30}
    # Of an entry without a default, what was set. Of a list, all entries, each with what was set.
    assert changed["embeddings"]["marks"] == {"kind": "detector", "weights": "trained", "detector": "watermark_detection"}
    assert "marks" not in defaults["embeddings"]
    assert [stage["name"] for stage in changed["restoration"]["stages"]] == ["stage1", "stage2"]
    assert "discriminator" not in changed["restoration"]["stages"][0]["learning_rates"]
    assert changed_settings(load_configuration({})) == ({}, {})


def test_complete_settings_can_be_loaded_again() -> None:
    # The report does so.
    complete = load_configuration({"classifiers": {"blur": {"labels": ["clean", "blurred"], "pictures": {"degraded": LEVELS}}}})
    assert load_configuration(complete) == complete


@pytest.mark.parametrize(
    ("ask", "answers", "pictures", "told"),
    [
        ({"model": "other"}, {}, {}, "`ask.model` should be a classifier with classes: blur"),
        ({"answers": "other"}, {}, {}, "`ask.answers` should name a set in `annotations.image_labels`: asked"),
        ({}, {}, {"sets": []}, "`classifiers.blur.pictures.sets` should have 'asked'"),
        ({}, {"path": "asked.zip"}, {}, "'asked' should be a folder"),
        ({}, {"split": "train"}, {}, "without `split`"),
        ({"model": "nsfw_detection"}, {}, {}, "blur; for a detector, use `snakemake preview`"),
        ({"model": "odd"}, {"format": "folders"}, {"sets": ["asked"]}, "none can be named '.x', 'a/b'"),
        ({}, {"split_by": "image"}, {}, "'asked': `split_by` should be `set` instead"),
        ({"embedding": "look"}, {}, {}, "`ask.embedding` should be one of `embeddings`: there is none"),
        (
            {"hard_negatives": {"free_of": "nsfw", "label": "x"}},
            {},
            {},
            "`ask.hard_negatives.label` should be one of sharp, soft",
        ),
        ({"hard_negatives": {"free_of": "x", "label": "soft"}}, {}, {}, "`ask.hard_negatives.free_of` should be one of nsfw"),
    ],
)
def test_labels_that_could_not_come_back_are_not_asked_for(
    ask: dict[str, Any], answers: dict[str, Any], pictures: dict[str, Any], told: str
) -> None:
    levels = [{"label": "sharp"}, {"label": "soft", "steps": [{"jpeg": {"probability": 1.0, "quality": [5, 40]}}]}]
    given = {"name": "asked", "path": "labels/asked", "content": "general", "rights": "CC0"}
    blur = {"labels": ["sharp", "soft"], "pictures": {"sets": ["asked"], "degraded": {"levels": levels}}}

    def settings(ask: dict[str, Any], answers: dict[str, Any], pictures: dict[str, Any]) -> dict[str, Any]:
        return {
            "annotations": {"image_labels": [{**given, **answers}]},
            "classifiers": {
                "blur": {**blur, "pictures": {**blur["pictures"], **pictures}},  # type: ignore[dict-item]
                **({"odd": {"labels": [".x", "a/b"], "pictures": pictures}} if ask.get("model") == "odd" else {}),
            },
            "ask": {"model": "blur", **ask},
        }

    assert load_configuration(settings({}, {}, {}))["ask"]["model"] == "blur"
    with pytest.raises(TesseraError, match=re.escape(told)):
        load_configuration(settings(ask, answers, pictures))


LANDMARKS = {"landmarks": {"weights": {"source": "landmarks.onnx", "sha256": DECLARED["sha256"]}}}


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        (
            "mosaic_detection",
            {},
            "`face_sets.mosaic_detection`: there is a dataset, a model, a classifier or an image set of this",
        ),
        ("stills", {}, "`face_sets.stills`: there is a dataset, a model, a classifier or an image set of this name"),
        ("ada", {"pack": True}, "`pack` needs 68 landmarks: declare a model in `landmarks.weights`"),
        ("ada", {"filter": {"max_occlusion": 0.3}}, "`filter.max_occlusion` needs masks: declare a model in `masks.weights`"),
        ("ada", {"filter": {"best": 100}}, "`filter.best` needs 68 landmarks: declare a model in `landmarks.weights`"),
        ("ada", {**LANDMARKS, "pack": True, "squares": {"format": "png"}}, "`pack` needs `squares.format: jpeg`"),
        ("ada", {"sources": []}, "face_sets.ada.sources: "),
        ("ada", {"detector": {"turns": [45]}}, "face_sets.ada.detector.turns"),
        ("ada", {"detector": {"weights": None}}, "`detector.weights: null` finds no face: name a detector"),
    ],
)
def test_a_face_set_that_could_not_be_made_is_refused(name: str, settings: dict[str, Any], told: str) -> None:
    common = {"subject": "Ada", "sources": ["film"]}
    fitting = {"image_sets": {"stills": {}}, "face_sets": {"ada": {**common, **LANDMARKS, "pack": True, "filter": {"best": 9}}}}
    assert load_configuration(fitting)["face_sets"]["ada"]["pack"]
    with pytest.raises(TesseraError, match=re.escape(told)):
        load_configuration({**fitting, "face_sets": {name: {**common, **settings}}})
