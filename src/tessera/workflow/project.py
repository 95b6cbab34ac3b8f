"""A project: its settings, manifest and decisions, and the shards, datasets and models that follow from them."""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from tessera.catalogue import (
    Dataset,
    Kind,
    Layout,
    Model,
    NamedSet,
    all_datasets,
    all_models,
    labelled_sets,
    made_datasets,
    trained_models,
)
from tessera.configuration.read import load_configuration
from tessera.core.errors import Dropped, TesseraError
from tessera.core.files import check_exists, file_name, files_below
from tessera.core.messages import truncate
from tessera.extras.face_sets.admit import Admission, admit_face_set, refusal_of_pack
from tessera.records.decisions import Decided, split_decisions
from tessera.records.manifest import RESTORE, ListedSource, group_by_shard, read_manifest
from tessera.records.subjects import Subject, read_subjects
from tessera.workflow.decisions import Decisions, load_decisions
from tessera.workflow.starters import use_starters

# Where version 0.1 had the blocklist.
OLD_BLOCKLIST = Path("resources/blocklist.tsv")
P = ParamSpec("P")
T = TypeVar("T")


class Wildcards(Protocol):
    """The wildcards of a job. Each job has only those of its rule."""

    classifier: str
    concept: str
    dataset: str
    embedding: str
    face_set: str
    gate: str
    image_labels: str
    labels: str
    layout: str
    model: str
    pack: str
    search: str
    sha256: str
    shard: str
    stage: str


Given = Callable[[Wildcards], T]  # a function for the inputs or params of a rule
Paths = str | list[str]  # a path, which a script gets as a path, or a list


def any_of(names: Iterable[str]) -> str:
    """Return the pattern of a wildcard that is one of `names`."""
    return "|".join(map(re.escape, names)) or "none"


def literal_param(value: T) -> Given[T]:
    """Return a function that returns `value`, for params. In a plain string, Snakemake would expand braces."""
    return lambda wildcards: value


def unwatched_param(value: T) -> Callable[[Wildcards, Any], T]:
    """Return a function that returns `value`, for params. Another value reruns nothing.

    Snakemake leaves what a function makes of the outputs out of the params that it compares with those of the last run.
    """

    def of_output(wildcards: Wildcards, output: Any) -> T:
        return value

    return of_output


def unwatched_job_param(function: Given[T]) -> Callable[[Wildcards, Any], T]:
    """Return `function`, for params. Another value that it returns reruns nothing, see `unwatched_param`."""
    return lambda wildcards, output: function(wildcards)


def gpu_for(*names: str) -> Callable[[Wildcards, Any], int | None]:
    """Return a function that returns 1 if one of the inputs `names`, the weights of models, is there, for the resource `gpu`.

    Otherwise it returns None: a job that runs no model does not wait for the GPU, and keeps no other from it.
    """

    def of_input(wildcards: Wildcards, input: Any) -> int | None:
        return 1 if any(input.get(name) for name in names) else None

    return of_input


class _Shards(dict[str, list[ListedSource]]):
    def __missing__(self, shard: str) -> list[ListedSource]:
        raise TesseraError(f"there is no shard {shard!r}; the shards are {', '.join(truncate(list(self), 10)) or 'none'}")


@dataclass(frozen=True, eq=False)
class Project:
    """The settings with every default, what the manifest lists, and what people decided.

    Paths of the results are returned with `<results>`, which Snakemake replaces.
    """

    config: dict[str, Any]
    results: str
    rows: list[ListedSource]  # the sources in the order of the manifest
    folders: dict[str, Path]  # the folders of pictures, by the names of their sources in keys
    decisions: Decisions

    @cached_property
    def sources(self) -> list[ListedSource]:
        """The sources by id, so that the order of the manifest decides on nothing but copies."""
        return sorted(self.rows, key=lambda source: source.source)

    @cached_property
    def shards(self) -> dict[str, list[ListedSource]]:
        """The sources of each shard. Raises `TesseraError` for a shard that there is not."""
        return _Shards(group_by_shard(self.sources, self.config["shards"], subfolders=self.config["sources"]["subfolders"]))

    @cached_property
    def has_footage(self) -> bool:
        """Whether a source may feed a dataset: not if all are only restored."""
        return any(set(source.use) != {RESTORE} for source in self.sources)

    @cached_property
    def datasets(self) -> dict[str, Dataset]:
        """The datasets that are made, by name."""
        admitted = [name for name, admission in self.face_sets.items() if admission.sources]
        return made_datasets(self.config, self.has_footage, [source.series for source in self.sources], admitted)

    @cached_property
    def subjects(self) -> dict[str, Subject]:
        """The people whose faces may be collected, by name. Raises `TesseraError` for faults in their table."""
        is_read = self.config["face_sets"] or self.config["face_packs"]
        return read_subjects(Path(self.config["subjects"])) if is_read else {}

    @cached_property
    def face_sets(self) -> dict[str, Admission]:
        """What each face set that the settings name may be made of today, UTC."""
        manifest, today = {source.source: source for source in self.sources}, datetime.now(UTC).date()
        return {
            name: admit_face_set(name, each["subject"], each["sources"], self.subjects, manifest, today)
            for name, each in self.config["face_sets"].items()
        }

    @cached_property
    def refused_packs(self) -> dict[str, Dropped]:
        """Why packs that the settings name may not be unpacked today, UTC, by their names. Those that may are left out."""
        today = datetime.now(UTC).date()
        refusals = {
            name: refusal_of_pack(each["subject"], each["content"], self.subjects, today)
            for name, each in self.config["face_packs"].items()
        }
        return {name: refusal for name, refusal in refusals.items() if refusal}

    @cached_property
    def models(self) -> dict[str, Model]:
        """The models that are trained, by name."""
        return trained_models(self.config, has_sources=self.has_footage)

    @cached_property
    def labels(self) -> dict[str, NamedSet]:
        """Sets of labelled images that the settings name, by the names of their folders in the results."""
        return {file_name(label_set.values["name"]): label_set for label_set in labelled_sets(self.config)}

    @cached_property
    def image_labels(self) -> dict[str, dict[str, Any]]:
        """The settings of sets of images with labels of their own, by the names of their folders in the results."""
        return {file_name(settings["name"]): settings for settings in self.config["annotations"]["image_labels"]}

    @cached_property
    def answers(self) -> dict[str, Any]:
        """The settings of the set of images that the answers of people belong to; empty if nothing is asked."""
        ask = self.config["ask"]
        return self.image_labels.get(file_name(ask["answers"]), {}) if ask["model"] else {}

    @cached_property
    def readable_image_labels(self) -> list[str]:
        """Those of `image_labels` that can be read: the set of the answers has no files before the first `snakemake ask`."""
        return [
            name
            for name, settings in self.image_labels.items()
            if settings is not self.answers or files_below(Path(settings["path"]))
        ]

    @cached_property
    def decided(self) -> Decided:
        """The decisions on clips, frames and regions, by key."""
        return split_decisions(self.decisions.samples, [source.source for source in self.sources])

    @cached_property
    def labelled_shards(self) -> list[str]:
        """The shards whose frames can have labels.

        All, or none if there is neither a folder of such labels nor a frame that is known to show nothing.
        """
        is_labelled = self.config["annotations"]["frame_labels"] or any(
            decision.decision == "negative" for decision in self.decided.frames.values()
        )
        return list(self.shards) if is_labelled else []

    @cached_property
    def without_duplicates(self) -> list[str]:
        """The datasets that keep one of several images that look the same. All frames are compared with their images."""
        return [dataset.name for dataset in all_datasets(self.config) if dataset.drops_duplicates]

    @cached_property
    def is_emptied(self) -> bool:
        """Whether the manifest lists no source although there are results of some, so that these are all there is to do."""
        return not self.sources and not self.datasets and any(Path(self.results).glob("sources/shards/*"))

    @cached_property
    def no_source(self) -> str:
        """The message that there is no source."""
        return (
            f"{self.config['manifest']} lists no source: add a row for each video, image or folder of images (see"
            " config/README.md)"
        )

    def of_job(
        self, function: "Callable[Concatenate[Project, Wildcards, P], T]", *args: P.args, **kwargs: P.kwargs
    ) -> Given[T]:
        """Return `function` of this project and the wildcards of a job, for inputs and params."""

        def of_wildcards(wildcards: Wildcards) -> T:
            return function(self, wildcards, *args, **kwargs)

        return of_wildcards

    def of_dataset(self, value: Callable[[Dataset], T]) -> Given[T]:
        """Return a function of the wildcards that calls `value` with the catalogue entry of the dataset of a job."""
        return lambda wildcards: value(self.datasets[wildcards.dataset])

    def of_model(self, *paths: str) -> Given[Paths]:
        """Return a function of the wildcards that returns `paths`, with {dataset} replaced by the dataset of the model."""

        def of_wildcards(wildcards: Wildcards) -> Paths:
            dataset = self.models[wildcards.model].dataset
            filled = [path.replace("{dataset}", dataset) for path in paths]
            return filled if len(filled) > 1 else filled[0]

        return of_wildcards

    def datasets_with_layout(self, layout: Layout) -> str:
        """Return the pattern of the datasets that are made and whose layout has the rules of `layout`."""
        return any_of(name for name, dataset in self.datasets.items() if dataset.layout.rules == layout.rules)

    def models_of_kind(self, *kinds: Kind) -> str:
        """Return the pattern of the models that are trained and are of one of `kinds`."""
        return any_of(name for name, model in self.models.items() if model.kind in kinds)

    def datasets_described_by(self, rule: str) -> str:
        """Return the pattern of the datasets that are made and whose datasheet the `rule` writes."""
        return any_of(name for name, dataset in self.datasets.items() if dataset.layout.datasheet == rule)

    def models_described_by(self, rule: str) -> str:
        """Return the pattern of the models that are trained and whose card or table of metrics the `rule` writes."""
        return any_of(name for name, model in self.models.items() if rule in (model.kind.card, model.kind.table))

    def of_shards(self, path: str, shards: Iterable[str] | None = None, **values: Iterable[str]) -> list[str]:
        """Return `path` for each of `shards`, None for all, and for all combinations of the `values` of other wildcards."""
        paths = [path.replace("{shard}", shard) for shard in (self.shards if shards is None else shards)]
        for name, choices in values.items():
            paths = [filled.replace(f"{{{name}}}", value) for filled in paths for value in choices]
        return paths

    def of_labelled_sets(self, part: str, datasets: Iterable[str]) -> list[str]:
        """Return the path of `part` of the results of each set of labelled images that feeds one of `datasets`."""
        feeds = set(datasets)
        return [f"<results>/labels/sets/{name}/{part}" for name, label_set in self.labels.items() if label_set.dataset in feeds]

    def expand_shards(self, *paths: str) -> list[str]:
        """Return `paths` of the catalogue for all values of {shard} and {labelled}. Other wildcards stay."""
        expanded = []
        for path in paths:
            if "{shard}" in path:
                expanded += self.of_shards(path)
            elif "{labelled}" in path:
                expanded += [path.replace("{labelled}", shard) for shard in self.labelled_shards]
            else:
                expanded.append(path)
        return expanded

    def metrics_of(self, classifiers: Iterable[str]) -> list[str]:
        """Return the metrics of those of `classifiers` that are trained here."""
        return [f"<results>/metrics/{name}.json" for name in classifiers if name in self.models]


def load_project(
    values: Mapping[str, Any], results: str, warn: Callable[[str], None] | None, files: Sequence[Path] = ()
) -> Project:
    """Return the project with the settings `values` of `files`, to which `project_of` then leads.

    `results`: the folder of the results. For `warn`, see `load_decisions`. Raises `TesseraError` for faults in the settings,
    the manifest or the decisions.
    """
    config = load_configuration(dict(values), files)
    sources = read_manifest(
        config["manifest"],
        [dataset.name for dataset in all_datasets(config)],
        [model.finds for model in all_models(config) if model.finds],
        Path(results),
    )
    check_exists("sources.blocklist", config["sources"]["blocklist"])
    if OLD_BLOCKLIST.exists() and Path(config["sources"]["blocklist"]) != OLD_BLOCKLIST:
        raise TesseraError(
            f"move the rows of {OLD_BLOCKLIST} to {config['sources']['blocklist']}, and delete it: it is not read"
        )
    # Unlike `Path.is_dir`, this accepts any string that a manifest can contain.
    folders = {file_name(source.source): Path(source.path) for source in sources if os.path.isdir(source.path)}  # noqa: PTH112
    project = Project(config, results, sources, folders, load_decisions(config, sources, folders, results, warn))
    use_starters(config, project.models)
    _PROJECTS[id(config)] = project
    return project


# A rule file has the settings of its workflow in `config`. One process may hold several workflows, as modules.
_PROJECTS: dict[int, Project] = {}


def project_of(config: Mapping[str, Any]) -> Project:
    """Return the project whose settings, with every default, are the object `config`."""
    return _PROJECTS[id(config)]


def require_sources(project: Project, wildcards: Wildcards) -> list[str]:
    """Return no files. Raises `TesseraError` if the manifest lists no source."""
    if not project.sources:
        raise TesseraError(project.no_source)
    return []


def require_sources_or_images(project: Project, wildcards: Wildcards) -> list[str]:
    """Return no files. Raises `TesseraError` if there is neither footage nor a set of images that a model is trained on."""
    if not project.sources and not project.datasets:
        named = {setting for dataset in all_datasets(project.config) for setting in dataset.sets.values()}
        raise TesseraError(f"{project.no_source}, or train a model on images of your own, in {' or '.join(sorted(named))}")
    return []
