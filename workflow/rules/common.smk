# Settings, sources and shards: everything that is known before a job starts.

import re
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake_interface_logger_plugins.common import LogEvent

from tessera.configuration import load_configuration
from tessera.core.definitions import code_digest
from tessera.records.decisions import read_decisions, split_decisions
from tessera.core.errors import TesseraError
from tessera.core.files import files_of, is_plain_file, size_of
from tessera.records.manifest import group_by_shard, read_manifest, twins
from tessera.core.files import check_there
from tessera.core.files import file_name
from tessera.core.provenance import fingerprint

try:
    config = load_configuration(config)
    SOURCES = read_manifest(config["manifest"])
    CLIP_DECISIONS, FRAME_DECISIONS = split_decisions(
        read_decisions(config["decisions"]).values(),
        [source.source for source in SOURCES],
    )
except TesseraError as error:
    raise WorkflowError(str(error)) from None

SHARDS = group_by_shard(SOURCES, config["shards"])
TWINS = twins(SOURCES)
DETECTORS = [model for model, settings in config["models"].items() if settings]
# The datasets of images; that of clips is there where something looks through the videos.
DATASETS = DETECTORS
CLIPS = (
    ["<results>/datasets/mosaic_restoration/SHA256SUMS"]
    if config["scenes"]["detect"]["weights"]
    else []
)
# The stages that the restoration model is trained in, on those clips.
STAGES = {stage["name"]: stage for stage in config["restoration"]["stages"] if CLIPS}
MODELS = [*DETECTORS, *(["mosaic_restoration"] if STAGES else [])]
NO_STAGES = (
    "no restoration model is trained: `restoration.stages` is empty, or `scenes.detect.weights` is null, so that there are no"
    " clips; set them, or ask for another model"
)


wildcard_constraints:
    # Not all names in one pattern: with a thousand, matching them would be most of the planning.
    shard="[^/]+",
    dataset="|".join(DATASETS) or "none",
    model="|".join(DETECTORS) or "none",
    stage="|".join(map(re.escape, STAGES)) or "none",


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


def trained(model):
    """Return a function of what is left at the end of a training of `model`, or of why there is none."""

    def given(wildcards):
        if model == "mosaic_restoration" and model not in MODELS:
            raise TesseraError(NO_STAGES)
        if model not in MODELS:
            raise TesseraError(
                f"`models.{model}` is null, so that it is not trained; give it settings, or ask for another"
            )
        return f"<results>/weights/{model}/SHA256SUMS"

    return given


def of_dataset(values):
    """Return a function that looks up in `values` what belongs to the dataset of a job: nothing where they do not say."""

    def given(wildcards):
        return values.get(wildcards.dataset, [])

    return given


def footprint(path):
    """Return what changes with the footage at `path`; of an input the size, for Snakemake overlooks what is older than before."""
    return size_of(path) if is_plain_file(path) else fingerprint(files_of(path))


def shard_rows(wildcards):
    """Return what the manifest says of the sources of a shard, and of earlier sources that may be the same file.

    `watched` changes with their footage.
    """
    return [
        {
            **source.model_dump(mode="json"),
            "twins": [twin.model_dump(mode="json") for twin in TWINS[source.source]],
            "watched": [
                footprint(same.path) for same in [source, *TWINS[source.source]]
            ],
        }
        for source in SHARDS[wildcards.shard]
    ]


def source_order(wildcards):
    """Return the ids of all sources as the manifest orders them; a function, for Snakemake would expand the braces in them."""
    return [source.source for source in SOURCES]


def shard_files(wildcards):
    """Return the files that are inputs of a shard; folders, and what cannot be an input, are watched by `shard_rows`."""
    sources = SHARDS[wildcards.shard]
    sources = sources + [twin for source in sources for twin in TWINS[source.source]]
    return sorted({source.path for source in sources if is_plain_file(source.path)})
