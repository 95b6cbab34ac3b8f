# Settings, sources, shards, and the entries of the catalogue that are made: everything that is known before a job starts.

import os
import re
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake_interface_logger_plugins.common import LogEvent

import tessera.catalogue
from tessera.catalogue import made_datasets, sets_of, trained_models
from tessera.configuration import load_configuration
from tessera.core.errors import TesseraError
from tessera.core.files import file_name, files_of, is_plain_file, size_of
from tessera.core.provenance import fingerprint
from tessera.records.decisions import read_decisions, split_decisions
from tessera.records.manifest import group_by_shard, read_manifest, twins

try:
    config = load_configuration(config)
    SOURCES = read_manifest(
        config["manifest"], [dataset.name for dataset in tessera.catalogue.DATASETS]
    )
    CLIP_DECISIONS, FRAME_DECISIONS = split_decisions(
        read_decisions(config["decisions"]).values(),
        [source.source for source in SOURCES],
    )
except TesseraError as error:
    raise WorkflowError(str(error)) from None

SHARDS = group_by_shard(SOURCES, config["shards"])
# The entries of the catalogue that these settings ask for, by name.
DATASETS = made_datasets(config)
MODELS = trained_models(config)
# What people brought beside the manifest, by the name of its folder in the results.
LABELS = {file_name(each["name"]): each for each in config["annotations"]["labels"]}
WATERMARK_SETS = {
    file_name(each["name"]): each for each in config["watermarks"]["sets"]
}
# The shards whose frames are labelled: all or, where no folder with such labels is named, none.
LABELLED = SHARDS if config["annotations"]["frame_labels"] else []
# What the wildcards in the paths of the catalogue stand for.
PLACES = {
    "shard": SHARDS,
    "labels": LABELS,
    "labelled": LABELLED,
    "set": WATERMARK_SETS,
}
# Per room, its steps: what each counts, and its ledgers. Every room adds its own; the gate of the room judges them.
GATES = {}
# What every target makes: the lists of what was removed because its source is no longer in the manifest.
WITHDRAWN = ["<results>/sources/withdrawn.tsv", "<results>/previews/withdrawn.tsv"]
# Folders of the results of version 0.1, which nothing reads any more.
OLD_FOLDERS = ["results/annotations"]

if workflow.is_main_process:
    for folder in filter(os.path.isdir, OLD_FOLDERS):
        logger.warning(
            f"{folder} was written by Tessera 0.1 and is not read any more: its content is made again in results/labels and"
            " results/selections; delete the folder"
        )


def any_of(names):
    """Return the pattern of a wildcard that is one of `names`."""
    return "|".join(map(re.escape, names)) or "none"


def laid_out_as(layout):
    """Return the pattern of the datasets that are made and have `layout`."""
    return any_of(name for name, each in DATASETS.items() if each.layout is layout)


def of_kind(kind):
    """Return the pattern of the models that are trained and are of `kind`."""
    return any_of(name for name, each in MODELS.items() if each.kind is kind)


wildcard_constraints:
    # Not all names in one pattern: with a thousand, matching them would be most of the planning.
    shard="[^/]+",
    dataset=any_of(DATASETS),
    model=any_of(MODELS),


def keep_log(record):
    """Keep the log of a job from the rich logger, which prints all of it where the job fails: one line has said why."""
    if getattr(record, "event", None) == LogEvent.JOB_INFO:
        record.log = []
    return True


logger.addFilter(keep_log)


def verbatim(value):
    """Return a function of `value` for params: in text that is given by itself, Snakemake would expand the braces."""

    def given(wildcards):
        return value

    return given


def rows_of(decisions):
    """Return `decisions` as params take them: what they say, so that a comment in their file reruns nothing."""
    return verbatim([decision.model_dump() for decision in decisions.values()])


def places(*paths):
    """Return `paths` of the catalogue, each for all values of the wildcards in it but `dataset` and `model`."""
    found = []
    for path in paths:
        used = {name: names for name, names in PLACES.items() if f"{{{name}}}" in path}
        found += expand(path, **used, allow_missing=True)
    return found


def of_dataset(value):
    """Return a function of the wildcards: `value` of the entry of the dataset that a job makes."""

    def given(wildcards):
        return value(DATASETS[wildcards.dataset])

    return given


def settings_of(dataset):
    """Return the sections of the settings that decide what a dataset holds."""
    return {section: config[section] for section in dataset.made_by}


def of_model(*paths):
    """Return a function of the wildcards: `paths`, in which {dataset} is the dataset that a model is trained on."""

    def given(wildcards):
        dataset = MODELS[wildcards.model].dataset
        found = [path.replace("{dataset}", dataset) for path in paths]
        # A single path stays one: scripts are given a path for it, not a list.
        return found if len(found) > 1 else found[0]

    return given


def content_of_sets(wildcards):
    """Return the content of each set of material in the dataset of a job, by the id that its sources start with.

    The report blurs pictures by it.
    """
    is_of_model = not hasattr(wildcards, "dataset")
    dataset = MODELS[wildcards.model].dataset if is_of_model else wildcards.dataset
    sets = sets_of(DATASETS[dataset], config)
    return {source: each["content"] for source, each in sets.items()}


def footprint(path):
    """Return what changes with the footage at `path`; of an input the size, for Snakemake overlooks what is older than before."""
    return size_of(path) if is_plain_file(path) else fingerprint(files_of(path))


@cache
def earlier_twins():
    """Return, by source id, the earlier source that may be the same file. Not looked for by jobs that do not ask."""
    return twins(SOURCES)


def shard_rows(wildcards):
    """Return what the manifest says of the sources of a shard, and of the earlier source that may be the same file as each.

    `watched` changes with their footage.
    """
    rows = []
    for source in SHARDS[wildcards.shard]:
        twin = earlier_twins().get(source.source)
        rows.append(
            {
                **source.model_dump(mode="json"),
                "twin": twin and twin.model_dump(mode="json"),
                "watched": [footprint(same.path) for same in [source, twin] if same],
            }
        )
    return rows


def source_order(wildcards):
    """Return the ids of all sources as the manifest orders them; a function, for Snakemake would expand the braces in them."""
    return [source.source for source in SOURCES]


def inputs_of(sources):
    """Return the files of `sources` that can be inputs; folders, and what cannot be one, are watched by `shard_rows`."""
    return sorted({source.path for source in sources if is_plain_file(source.path)})


def shard_files(wildcards):
    """Return the files that are inputs of a shard."""
    return inputs_of(SHARDS[wildcards.shard])


def compared_files(wildcards):
    """Return the files that are read to admit the sources of a shard: its own, and those that may be the same."""
    sources = SHARDS[wildcards.shard]
    found = [earlier_twins().get(source.source) for source in sources]
    return inputs_of([*sources, *filter(None, found)])
