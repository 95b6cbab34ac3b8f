# Labels that people drew: import folders of labelled images, and labels of sampled frames.

from tessera.core.files import check_there
from tessera.core.definitions import code_digest
from tessera.core.messages import counted
from tessera.core.provenance import fingerprint
from tessera.pipeline.labels.settings import unclaimed_labels
from tessera.records.annotation.label_files import label_files

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
            f" its {counted(count, 'label files')} cannot be used"
        )


wildcard_constraints:
    labels=any_of(LABELS),


def label_set(wildcards):
    """Return the settings of a folder of labels."""
    return LABELS[wildcards.labels]


def watched_labels(wildcards):
    """Return a value that changes with the label files and the images of a folder of labels.

    The folder must exist. An input function would not do: with results that need its job, Snakemake hides its errors.
    """
    given = label_set(wildcards)
    check_there(
        f"annotations.labels: {given['name']!r}",
        given["path"],
        folder=True,
    )
    return fingerprint(label_files(given["path"]))


def watched_frame_labels(wildcards):
    """Return a value that changes with the label files of the frames of a shard. The folder of all of them must exist."""
    folder = config["annotations"]["frame_labels"]
    if folder:
        check_there("annotations.frame_labels", folder, folder=True)
    return frame_labels_of_shard(wildcards)


rule import_labels:
    input:
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
