# Everything that is known before a job starts: settings, sources, shards, and the datasets and models to make.

import os
import re
from glob import glob
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake_interface_logger_plugins.common import LogEvent

from tessera.catalogue import (
    all_datasets,
    all_models,
    fed_by,
    labelled_sets,
    made_datasets,
    sets_of,
    trained_models,
)
from tessera.configuration.confidences import targets_in
from tessera.configuration.read import load_configuration
from tessera.core.errors import TesseraError
from tessera.core.files import (
    check_there,
    file_name,
    files_below,
    files_of,
    is_plain_file,
    list_folder,
    or_folder,
    size_of,
)
from tessera.core.messages import counted, shortened
from tessera.core.provenance import digest, fingerprint
from tessera.stages.footage.moving import keys_by_position, move_keys, report_moved
from tessera.records.annotation.label_files import (
    frame_exports,
    frame_label_files,
    frame_label_keys,
)
from tessera.records.decisions import read_decisions, split_decisions
from tessera.records.frame_keys import source_of
from tessera.records.moved_keys import moved_key, read_moved_keys, write_moved_keys
from tessera.records.manifest import (
    Source,
    group_by_shard,
    missing_footage,
    read_manifest,
    twins,
)


def follow_positions(keys):
    """Return what keys by position became, by the former key, after those of `keys` were looked up that were not yet."""
    moved = read_moved_keys()
    unknown = keys_by_position(keys, FOLDERS) - moved.keys()
    if unknown and workflow.is_main_process:
        rows = move_keys(unknown, FOLDERS, Path(workflow.pathvars.apply("<results>")))
        write_moved_keys(rows)
        logger.warning(report_moved(rows))
        moved = read_moved_keys()
    return moved


try:
    config = load_configuration(config)
    SOURCES = read_manifest(
        config["manifest"],
        [dataset.name for dataset in all_datasets(config)],
        [model.finds for model in all_models(config) if model.finds],
    )
    check_there("sources.blocklist", config["sources"]["blocklist"])
    DECISIONS = read_decisions(
        config["decisions"],
        {name: each["labels"] for name, each in config["classifiers"].items()},
    )
    # The folders of pictures, by the names of their sources in keys.
    FOLDERS = {
        file_name(source.source): Path(source.path)
        for source in SOURCES
        if os.path.isdir(source.path)
    }
    MOVED_KEYS = follow_positions(
        [
            *(decision.key for decision in DECISIONS),
            *frame_label_keys(
                config["annotations"]["frame_labels"],
                [each.source for each in SOURCES if file_name(each.source) in FOLDERS],
            ),
        ]
    )
    DECISIONS = [
        each.model_copy(update={"key": moved_key(each.key, MOVED_KEYS)})
        for each in DECISIONS
    ]
    CLIP_DECISIONS, FRAME_DECISIONS, REGION_DECISIONS = split_decisions(
        DECISIONS, [source.source for source in SOURCES]
    )
except TesseraError as error:
    raise WorkflowError(str(error)) from None

SUBFOLDERS = config["sources"]["subfolders"]
SHARDS = group_by_shard(SOURCES, config["shards"], subfolders=SUBFOLDERS)
# The entries of the catalogue that these settings ask for, by name.
DATASETS = made_datasets(
    config, bool(SOURCES), series=[source.series for source in SOURCES]
)
MODELS = trained_models(config, has_sources=bool(SOURCES))
# Sets of labelled images that the settings name, by the names of their folders in the results.
LABELS = {file_name(each.values["name"]): each for each in labelled_sets(config)}
# The datasets that keep one of several images that look the same. Their labelled images are compared with all frames.
WITHOUT_DUPLICATES = [
    dataset.name for dataset in all_datasets(config) if dataset.drops_duplicates
]
# Sets of images with labels of their own that the settings name, by the names of their folders in the results.
IMAGE_LABELS = {
    file_name(each["name"]): each for each in config["annotations"]["image_labels"]
}
# The classifier that `snakemake ask` asks for, the set that the answers belong to, and those that people gave on the review
# page, by the key of the picture.
ASKING = config["ask"]["model"]
ANSWERS = IMAGE_LABELS.get(file_name(config["ask"]["answers"]), {}) if ASKING else {}
ANSWERED = {
    each.key: each.label
    for each in DECISIONS
    if ANSWERS
    and (each.decision, each.classifier) == ("relabel", ASKING)
    and each.key.startswith(f"{file_name(ANSWERS['name'])}+")
}
# Those that can be read: the set of the answers has no files before the first round of `snakemake ask`.
READABLE = [
    name
    for name, each in IMAGE_LABELS.items()
    if each is not ANSWERS or files_below(Path(each["path"]))
]
# The shards whose frames can have labels: all or, if there is neither a folder of such labels nor a frame that is known to show
# nothing, none.
LABELLED = (
    SHARDS
    if config["annotations"]["frame_labels"]
    or any(each.decision == "negative" for each in FRAME_DECISIONS.values())
    else []
)
# The values of the wildcards in the paths of the catalogue.
PLACES = {
    "shard": SHARDS,
    "labelled": LABELLED,
}
# The steps of each room, each with the unit that it counts and its ledgers. Rooms add their own steps, and gates check them.
GATES = {}
# Every target makes these lists of what was removed because its source is no longer in the manifest.
WITHDRAWN = ["<results>/sources/withdrawn.tsv", "<results>/previews/withdrawn.tsv"]
# Folders of version 0.1 that are no longer used.
OLD_FOLDERS = ["results/annotations", "results/watermarks/sets"]

NO_SOURCE = f"{config['manifest']} lists no source: add a row for each video, image or folder of images (see config/README.md)"
# Whether the manifest lists no source although there are results of some, so that these are all that there is to do.
IS_EMPTIED = (
    not SOURCES
    and not DATASETS
    and bool(glob(workflow.pathvars.apply("<results>/sources/shards/*")))
)

if workflow.is_main_process:
    if IS_EMPTIED:
        logger.warning(
            f"{config['manifest']} lists no source: only the results of earlier sources are removed"
        )
    elif not SOURCES and DATASETS:
        left_out = [name for name in made_datasets(config) if name not in DATASETS]
        logger.warning(
            f"{config['manifest']} lists no source: only {', '.join(DATASETS)} is made; left out:"
            f" {', '.join(left_out) or 'nothing'}"
        )
    if missing := missing_footage(SOURCES):
        logger.warning(
            f"{config['manifest']}: the footage of {len(missing):,} of {counted(len(SOURCES), 'sources')} is missing, so that"
            f" nothing is made of it: {'; '.join(shortened(missing, 5))}; correct the column `path`, or restore the files"
            f"{or_folder('.')}"
        )
    shared = [len(group) for group in SHARDS.values() if len(group) > 1]
    if config["shards"] == "auto" and shared:
        logger.info(
            f"{counted(sum(shared), 'small sources')} share {counted(len(shared), 'shards')}; `shards` can change that"
        )
    decided = {each.classifier for each in DECISIONS} - {"", *config["classifiers"]}
    if decided:
        logger.warning(
            f"{config['decisions']} has decisions for {', '.join(sorted(decided))}, which `classifiers` does not name: they are"
            " not used; correct the column `classifier` if this is not intended"
        )
    for folder in filter(os.path.isdir, OLD_FOLDERS):
        logger.warning(
            f"{folder} was written by an earlier version and is no longer used: its content is made again in results/labels"
            " and results/selections; delete the folder"
        )


def any_of(names):
    """Return the pattern of a wildcard that is one of `names`."""
    return "|".join(map(re.escape, names)) or "none"


def laid_out_as(layout):
    """Return the pattern of the datasets that are made and whose layout has the rules of `layout`."""
    return any_of(
        name for name, each in DATASETS.items() if each.layout.rules == layout.rules
    )


def of_kind(*kinds):
    """Return the pattern of the models that are trained and are of one of `kinds`."""
    return any_of(name for name, each in MODELS.items() if each.kind in kinds)


wildcard_constraints:
    # Not a pattern of all names: with a thousand shards, matching it would take most of the planning time.
    shard="[^/]+",
    dataset=any_of(DATASETS),
    model=any_of(MODELS),


def clarify(record):
    """Change what Snakemake logs of an error, so that the line with the reason and the fix is there and stands out."""
    if getattr(record, "event", None) == LogEvent.JOB_INFO:
        # The rich logger would print the whole log of a failed job, although one line has named the error.
        record.log = []
    elif found := re.search(
        r"^  TesseraError: (.+?)\nWildcards:", str(record.msg), re.MULTILINE | re.DOTALL
    ):
        # Snakemake adds wildcards and a traceback to an error of a function for params.
        record.msg = found[1]
    elif "Missing input files for rule" in str(record.msg):
        record.msg += f"\nRestore the files{or_folder('.')}"
    return True


logger.addFilter(clarify)


def footage(wildcards):
    """Return no files. Raises `TesseraError` if the manifest lists no source."""
    if not SOURCES:
        raise TesseraError(NO_SOURCE)
    return []


def footage_or_images(wildcards):
    """Return no files. Raises `TesseraError` if there is neither footage nor a set of images that a model is trained on."""
    if not SOURCES and not DATASETS:
        named = {
            setting
            for dataset in all_datasets(config)
            for setting in dataset.sets.values()
        }
        raise TesseraError(
            f"{NO_SOURCE}, or train a model on images of your own, in {' or '.join(sorted(named))}"
        )
    return []


def prioritize(dag):
    """Start those jobs first that the longest chain of other jobs waits for: the critical path.

    Trainings state their length as `priority`, in epochs or iterations. Other jobs count as one.
    """

    @cache
    def length(job):
        return 1 + dag.priority(job) + max(map(length, dag.depending[job]), default=0)

    dag._priority.update({job: length(job) for job in dag.needrun_jobs()})


def metrics_of(classifiers):
    """Return the metrics of those of `classifiers` that are trained here."""
    return expand(
        "<results>/metrics/{model}.json",
        model=[name for name in classifiers if name in MODELS],
    )


def verbatim(value):
    """Return a function that returns `value`, for params. In a plain string, Snakemake would expand braces."""

    def given(wildcards):
        return value

    return given


def rows_of(decisions):
    """Return the content of `decisions` for params, so that a comment in their file reruns nothing."""
    return verbatim([decision.model_dump() for decision in decisions.values()])


def decisions_on_pictures(classifier, *kinds):
    """Return the decisions of these kinds on the pictures of a classifier."""
    return [
        decision.model_dump()
        for decision in DECISIONS
        if decision.classifier == classifier and decision.decision in kinds
    ]


def places(*paths):
    """Return `paths` of the catalogue, expanded for all values of their wildcards except `dataset` and `model`."""
    found = []
    for path in paths:
        used = {name: names for name, names in PLACES.items() if f"{{{name}}}" in path}
        found += expand(path, **used, allow_missing=True)
    return found


def evaluations(targets):
    """Return the tables that `targets`, confidences to reach, are measured by: for each its objects and its detections."""
    return [
        f"<results>/evaluation/{target['model']}/{table}.parquet"
        for target in targets
        for table in ("objects", "detections")
    ]


def set_places(part, datasets):
    """Return the path of `part` of the results of each set of labelled images that feeds one of the named `datasets`."""
    return expand(
        f"<results>/labels/sets/{{labels}}/{part}",
        labels=[name for name, each in LABELS.items() if each.dataset in datasets],
    )


def set_ledgers(room):
    """Return the unit and the ledgers of the sets of labelled images whose faults the gate of `room` counts."""
    return "images", set_places("ledger.jsonl", fed_by(room))


def drawn(dataset, what):
    """Return the path of the tables of the marks or mosaics on the samples of a dataset, or an empty list."""
    return [dataset.drawn[what]] if what in dataset.drawn else []


def of_dataset(value):
    """Return a function of the wildcards that calls `value` with the catalogue entry of the dataset of a job."""

    def given(wildcards):
        return value(DATASETS[wildcards.dataset])

    return given


def of_model(*paths):
    """Return a function of the wildcards that returns `paths`, with {dataset} replaced by the dataset of the model."""

    def given(wildcards):
        dataset = MODELS[wildcards.model].dataset
        found = [path.replace("{dataset}", dataset) for path in paths]
        # A single path is not a list, so that the script gets a path.
        return found if len(found) > 1 else found[0]

    return given


def names_of_exports(model):
    """Return the patterns of the names of the exported files of a model, with those that its settings add."""
    added = [
        name
        for name, setting in model.kind.optional_exports
        if config[model.kind.section][model.name]["export"][setting]
    ]
    return (*model.kind.exports, *added)


def exported_files(wildcards):
    """Return the exported files of a model, which are not published yet."""
    return [
        f"<results>/exports/{{model}}/{name}".format(model=wildcards.model)
        for name in names_of_exports(MODELS[wildcards.model])
    ]


def content_of_sets(wildcards):
    """Return the `content` of each set of images in the dataset of a job, by the id that its sources start with.

    It decides which pictures the report blurs.
    """
    is_of_model = not hasattr(wildcards, "dataset")
    dataset = MODELS[wildcards.model].dataset if is_of_model else wildcards.dataset
    sets = sets_of(DATASETS[dataset], config)
    return {source: each["content"] for source, each in sets.items()}


def footprint(path):
    """Return a value that changes with the footage at `path`.

    For a file that is an input, it is the size: Snakemake does not notice if a file is replaced by an older one.
    """
    if is_plain_file(path):
        return size_of(path)
    # Of files in a folder that are no pictures, only the names matter.
    listing = list_folder(Path(path), subfolders=SUBFOLDERS, below=False)
    files = [Path(path, name) for name in listing.pictures] or files_of(path)
    return digest([fingerprint(files), *listing.others])


@cache
def earlier_twins():
    """Return the earlier source that may be the same file, by source id. It is computed only if a job needs it."""
    return twins(SOURCES, subfolders=SUBFOLDERS)


def shard_rows(wildcards):
    """Return the sources of a shard, each with the earlier source that may be the same file.

    `watched` changes with the footage of both. What a source is free of is left out, because no sample depends on it.
    """
    columns = set(Source.model_fields)
    rows = []
    for source in SHARDS[wildcards.shard]:
        twin = earlier_twins().get(source.source)
        rows.append(
            {
                **source.model_dump(mode="json", include=columns),
                "twin": twin and twin.model_dump(mode="json", include=columns),
                "watched": [footprint(same.path) for same in [source, twin] if same],
            }
        )
    return rows


def source_order(wildcards):
    """Return the ids of all sources in the order of the manifest. In plain strings, Snakemake would expand braces."""
    return [source.source for source in SOURCES]


def inputs_of(sources):
    """Return the files of `sources` that can be inputs. `shard_rows` watches folders and all other paths."""
    return sorted({source.path for source in sources if is_plain_file(source.path)})


def shard_files(wildcards):
    """Return the files that are inputs of a shard."""
    return inputs_of(SHARDS[wildcards.shard])


def compared_files(wildcards):
    """Return the files that are read to admit the sources of a shard: its own, and earlier ones that may be the same."""
    sources = SHARDS[wildcards.shard]
    found = [earlier_twins().get(source.source) for source in sources]
    return inputs_of([*sources, *filter(None, found)])


def moved_keys_of_shard(wildcards):
    """Return what the keys of pictures in the folders of a shard became, by the former key."""
    names = {file_name(source.source) for source in SHARDS[wildcards.shard]}
    return {key: now for key, now in MOVED_KEYS.items() if source_of(key) in names}


@cache
def exports_of_frames():
    """Return the exports of Label Studio with labels of frames. They are searched once, and not for each shard."""
    return frame_exports(config["annotations"]["frame_labels"])


def frame_labels_of_shard(wildcards):
    """Return a value that changes with the labels of the frames of a shard. An export may have labels for any shard."""
    folder = config["annotations"]["frame_labels"]
    files = [
        file
        for source in SHARDS[wildcards.shard]
        for file in frame_label_files(folder, source.source)
    ]
    return fingerprint([*files, *exports_of_frames()])
