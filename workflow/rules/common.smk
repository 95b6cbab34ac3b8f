# Settings, sources and shards: everything that is known before a job starts.

import os
from pathlib import Path

from snakemake.exceptions import WorkflowError

from tessera.configuration import load_configuration
from tessera.errors import TesseraError
from tessera.manifest import (
    fingerprint,
    group_by_shard,
    is_readable,
    read_manifest,
    twins,
)
from tessera.provenance import code_digest, file_name

try:
    config = load_configuration(config)
    SOURCES = read_manifest(config["manifest"])
except TesseraError as error:
    raise WorkflowError(str(error)) from None

SHARDS = group_by_shard(SOURCES, config["shards"])
TWINS = twins(SOURCES)
DETECTORS = list(config["models"])


wildcard_constraints:
    shard="|".join(map(re.escape, SHARDS)) or "none",
    dataset="nsfw_detection",
    model="|".join(DETECTORS),


def shard_rows(wildcards):
    """Return what the manifest says of the sources of a shard, and of earlier sources that may be the same file."""
    return [
        {
            **source.model_dump(mode="json"),
            "twins": [twin.model_dump(mode="json") for twin in TWINS[source.source]],
            "fingerprint": (
                fingerprint(source.path) if os.path.isdir(source.path) else ""
            ),
        }
        for source in SHARDS[wildcards.shard]
    ]


def shard_files(wildcards):
    """Return the files of a shard that can be read; others are refused with their reason, not an error of the workflow."""
    sources = SHARDS[wildcards.shard]
    sources = sources + [twin for source in sources for twin in TWINS[source.source]]
    return sorted({source.path for source in sources if is_readable(source.path)})
