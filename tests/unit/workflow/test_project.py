"""What follows from the settings and the manifest."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tessera.catalogue import IMAGES
from tessera.core.errors import TesseraError
from tessera.workflow.project import (
    Project,
    any_of,
    gpu_for,
    literal_param,
    project_of,
    require_sources,
    require_sources_or_images,
)

NO_MODELS = {"models": dict.fromkeys(("nsfw_detection", "watermark_detection", "mosaic_detection"))}
NOTHING: dict[str, Any] = {**NO_MODELS, "scenes": {"detect": {"weights": None}}}


def wildcards(**values: str) -> Any:
    return SimpleNamespace(**values)


def test_rule_files_get_the_project_of_their_settings(load: Callable[..., Project]) -> None:
    one, two = load("one"), load("one", "two")
    assert project_of(one.config) is one and project_of(two.config) is two
    assert one.config["frames"]["mode"], "with every default"


def test_paths_are_expanded_for_the_shards(load: Callable[..., Project]) -> None:
    project = load("one", "two")
    assert project.of_shards("{shard}/{part}", part=["a", "b"]) == ["one/a", "one/b", "two/a", "two/b"]
    # No frame has labels.
    assert project.expand_shards("{shard}/x", "{labelled}/x", "{dataset}") == ["one/x", "two/x", "{dataset}"]


def test_all_shards_can_have_labels_if_the_settings_name_a_folder_of_them(load: Callable[..., Project]) -> None:
    assert load("one").labelled_shards == []
    assert load("one", annotations={"frame_labels": "labels"}).expand_shards("{labelled}") == ["one"]


def test_functions_of_jobs_get_the_project_the_wildcards_and_more(load: Callable[..., Project]) -> None:
    project = load("one")
    given = project.of_job(lambda project, wildcards, *more: [project.results, wildcards.shard, *more], "more")
    assert given(wildcards(shard="one")) == ["results", "one", "more"]
    assert project.of_dataset(lambda dataset: dataset.name)(wildcards(dataset="mosaic_detection")) == "mosaic_detection"
    of_model = project.of_model("datasets/{dataset}/images")
    assert of_model(wildcards(model="mosaic_detection")) == "datasets/mosaic_detection/images"
    assert project.of_model("{dataset}/a", "{dataset}/b")(wildcards(model="mosaic_detection")) == [
        "mosaic_detection/a",
        "mosaic_detection/b",
    ]
    assert literal_param("{braces}")(wildcards()) == "{braces}"


def test_a_job_asks_for_the_gpu_if_it_runs_a_model() -> None:
    gpu = gpu_for("weights", "scores")
    assert gpu(wildcards(), {"weights": ["a.pt"], "scores": []}) == gpu(wildcards(), {"weights": [], "scores": "b.pt"}) == 1
    # 0 would hide the GPU from the job, and say so.
    assert gpu(wildcards(), {"weights": [], "scores": []}) is None


def test_patterns_match_the_names_alone(load: Callable[..., Project]) -> None:
    assert any_of(["a.b", "c"]) == r"a\.b|c"
    assert any_of([]) == "none"
    assert load("one").datasets_with_layout(IMAGES) == "nsfw_detection|watermark_detection|mosaic_detection"
    assert load("one", **NOTHING).datasets_with_layout(IMAGES) == "none"


def test_without_sources_footage_is_asked_for(load: Callable[..., Project]) -> None:
    assert require_sources(load("one"), wildcards()) == []
    with pytest.raises(TesseraError, match=r"sources\.tsv lists no source"):
        require_sources(load(), wildcards())
    label_set = {"name": "mine", "path": "mine", "content": "general", "rights": "CC0"}
    assert require_sources_or_images(load(annotations={"labels": [label_set]}), wildcards()) == []
    with pytest.raises(
        TesseraError, match=r"or train a model on images of your own, in annotations\.labels or watermarks\.sets"
    ):
        require_sources_or_images(load(), wildcards())


def test_results_without_sources_are_only_removed(load: Callable[..., Project]) -> None:
    assert not load(**NOTHING).is_emptied
    Path("results/sources/shards/one").mkdir(parents=True)
    assert load(**NOTHING).is_emptied
    assert not load("one", **NOTHING).is_emptied


def test_sets_of_labelled_images_lie_in_folders_of_their_names(load: Callable[..., Project]) -> None:
    label_set = {"name": "my set", "path": "mine", "content": "general", "rights": "CC0"}
    project = load("one", annotations={"labels": [label_set]})
    assert project.of_labelled_sets("images.parquet", ["nsfw_detection"]) == ["<results>/labels/sets/my%20set/images.parquet"]
    assert project.of_labelled_sets("images.parquet", ["mosaic_detection"]) == []
