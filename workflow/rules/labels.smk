# Labels that people drew: import folders of labelled images, and labels of sampled frames.

from tessera.core.files import check_there
from tessera.core.definitions import code_digest
from tessera.core.provenance import fingerprint
from tessera.pipeline.labels.settings import (
    frame_label_files,
    label_files,
    unclaimed_labels,
)

GATES["labels"] = {
    "labels of frames": (
        "images",
        places("<results>/labels/frames/{labelled}/ledger.jsonl"),
    ),
    "labels in folders": (
        "images",
        places("<results>/labels/sets/{labels}/ledger.jsonl"),
    ),
}

# Only in the main process, not in every job.
if workflow.is_main_process:
    unclaimed = unclaimed_labels(
        config["annotations"]["frame_labels"],
        [source.source for source in SOURCES],
        [
            *(each["path"] for each in LABELS.values()),
            config["preview"]["proposals"]["folder"],
        ],
    )
    for place, count in unclaimed.items():
        logger.warning(
            f"annotations.frame_labels: {str(place)!r} has the name of no source in the manifest:"
            f" {count} label file(s) are left out"
        )


wildcard_constraints:
    labels=any_of(LABELS),


def label_set(wildcards):
    """Return the settings of a folder of labels."""
    return LABELS[wildcards.labels]


def labels_are_there(wildcards):
    """Return no input, but check that the folder exists. Snakemake calls this while planning, before any job starts."""
    check_there(
        f"annotations.labels: {label_set(wildcards)['name']!r}",
        label_set(wildcards)["path"],
        folder=True,
    )
    return []


def frame_labels_are_there(wildcards):
    """Return no input, but check that the folder exists, as `labels_are_there` does."""
    if folder := config["annotations"]["frame_labels"]:
        check_there("annotations.frame_labels", folder, folder=True)
    return []


def watched_labels(wildcards):
    """Return a value that changes with the label files and the images of a folder of labels."""
    return fingerprint(label_files(LABELS[wildcards.labels]["path"]))


def watched_frame_labels(wildcards):
    """Return a value that changes with the label files of the frames of a shard."""
    folder = config["annotations"]["frame_labels"]
    return fingerprint(
        file
        for source in SHARDS[wildcards.shard]
        for file in frame_label_files(folder, source.source)
    )


rule import_labels:
    input:
        labels_are_there,
        blocklist=lookup(dpath="sources/blocklist", within=config),
    output:
        images="<results>/labels/sets/{labels}/images.parquet",
        annotations="<results>/labels/sets/{labels}/annotations.parquet",
        embedded=directory("<results>/labels/sets/{labels}/embedded"),
        ledger="<results>/labels/sets/{labels}/ledger.jsonl",
    log:
        "<logs>/import_labels/{labels}.log",
    benchmark:
        "<benchmarks>/import_labels/{labels}.jsonl"
    params:
        label_set=label_set,
        watched=watched_labels,
        classes=verbatim(lookup(dpath="annotations/classes", within=config)),
        min_area=lookup(dpath="annotations/min_area", within=config),
        blocklist_distance=lookup(dpath="sources/blocklist_distance", within=config),
        code=code_digest("tessera.pipeline.labels.imports:import_labels"),
    script:
        "../scripts/import_labels.py"


rule import_frame_labels:
    input:
        frame_labels_are_there,
        frames="<results>/frames/{shard}/frames.parquet",
        sources="<results>/sources/shards/{shard}/sources.parquet",
        pictures="<results>/frames/{shard}/images",
    output:
        images="<results>/labels/frames/{shard}/images.parquet",
        annotations="<results>/labels/frames/{shard}/annotations.parquet",
        unsampled=directory("<results>/labels/frames/{shard}/unsampled"),
        ledger="<results>/labels/frames/{shard}/ledger.jsonl",
    log:
        "<logs>/import_frame_labels/{shard}.log",
    benchmark:
        "<benchmarks>/import_frame_labels/{shard}.jsonl"
    params:
        folder=verbatim(lookup(dpath="annotations/frame_labels", within=config)),
        watched=watched_frame_labels,
        classes=verbatim(lookup(dpath="annotations/classes", within=config)),
        min_area=lookup(dpath="annotations/min_area", within=config),
        code=code_digest("tessera.pipeline.labels.imports:import_frame_labels"),
    script:
        "../scripts/import_frame_labels.py"
