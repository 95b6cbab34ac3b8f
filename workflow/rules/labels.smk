# Labels that people drew: import sets of labelled images, and labels of sampled frames.

from tessera.catalogue import all_datasets
from tessera.core.files import check_there, files_below
from tessera.core.definitions import code_digest
from tessera.core.messages import counted, shortened
from tessera.core.provenance import fingerprint
from tessera.stages.labels.settings import unclaimed_labels

GATES["labels"] = {
    "labels of frames": (
        "images",
        places("<results>/labels/frames/{labelled}/ledger.jsonl"),
    ),
    "labels in sets": set_ledgers("labels"),
}
GATES["image_labels"] = {
    "labels of whole images": (
        "images",
        expand(
            "<results>/labels/images/{image_labels}/ledger.jsonl",
            image_labels=READABLE,
        ),
    ),
}

# Only in the main process, not in every job.
if workflow.is_main_process:
    unclaimed = unclaimed_labels(
        config["annotations"]["frame_labels"],
        [source.source for source in SOURCES],
        [
            *(each.values["path"] for each in LABELS.values()),
            *(each["path"] for each in IMAGE_LABELS.values()),
            config["preview"]["proposals"]["folder"],
            *exports_of_frames(),
        ],
    )
    for place, files in unclaimed.items():
        named = [str(file.relative_to(place.parent)) for file in files]
        logger.warning(
            f"annotations.frame_labels: {counted(len(files), 'label files')} in {str(place)!r} cannot be used, because they belong"
            f" to no source in the manifest: {', '.join(shortened(named, 5))}; restore the source, whose id a label file has before"
            " its last hyphen, or remove the files"
        )


wildcard_constraints:
    labels=any_of(LABELS),
    image_labels=any_of(IMAGE_LABELS),


localrules:
    image_labels,


def of_set(value):
    """Return a function of the wildcards that calls `value` with the entry of a set of labelled images in `LABELS`."""

    def given(wildcards):
        return value(LABELS[wildcards.labels])

    return given


def watched_labels(wildcards):
    """Return a value that changes with the files of a set of labelled images.

    The set must exist. An input function would not do: with results that need its job, Snakemake hides its errors.
    """
    given = LABELS[wildcards.labels]
    check_there(f"{given.setting}: {given.values['name']!r}", given.values["path"])
    return fingerprint(files_below(given.values["path"]))


def classes_of_set(wildcards):
    """Return the classes of the dataset that a set of labelled images feeds."""
    return next(
        dataset.classes(config)
        for dataset in all_datasets(config)
        if dataset.name == LABELS[wildcards.labels].dataset
    )


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
        pictures=directory("<results>/labels/sets/{labels}/pictures"),
        ledger="<results>/labels/sets/{labels}/ledger.jsonl",
        counts="<results>/labels/sets/{labels}/counts.parquet",
    log:
        "<logs>/import_labels/{labels}.log",
    benchmark:
        "<benchmarks>/import_labels/{labels}.jsonl"
    params:
        label_set=of_set(lambda given: given.values),
        setting=of_set(lambda given: given.setting),
        source=of_set(lambda given: given.source),
        watched=watched_labels,
        classes=classes_of_set,
        min_area=lookup(dpath="annotations/min_area", within=config),
        blocklist_distance=lookup(dpath="sources/blocklist_distance", within=config),
        code=code_digest("tessera.stages.labels.sets:import_labels"),
    script:
        "../scripts/import_labels.py"


def watched_image_labels(wildcards):
    """Return a value that changes with the files of a set of images with labels, which must exist."""
    given = IMAGE_LABELS[wildcards.image_labels]
    if wildcards.image_labels not in READABLE:
        raise TesseraError(
            f"annotations.image_labels: {given['name']!r}: {str(given['path'])!r} has no pictures yet: run `snakemake ask`, and"
            " label those that it writes there"
        )
    check_there(f"annotations.image_labels: {given['name']!r}", given["path"])
    return fingerprint(files_below(given["path"]))


def holds_answers(wildcards):
    """Return whether a set of images with labels holds frames that were asked for."""
    return IMAGE_LABELS[wildcards.image_labels] is ANSWERS


def image_label_set(wildcards):
    """Return the settings of a set of images with labels."""
    return IMAGE_LABELS[wildcards.image_labels]


rule import_image_labels:
    input:
        blocklist=lookup(dpath="sources/blocklist", within=config),
        # Frames that were asked for belong to their sources.
        sources=lambda wildcards: (
            "<results>/sources/admitted.parquet" if holds_answers(wildcards) else []
        ),
    output:
        labels="<results>/labels/images/{image_labels}/labels.parquet",
        pictures=directory("<results>/labels/images/{image_labels}/pictures"),
        ledger="<results>/labels/images/{image_labels}/ledger.jsonl",
    log:
        "<logs>/import_image_labels/{image_labels}.log",
    benchmark:
        "<benchmarks>/import_image_labels/{image_labels}.jsonl"
    params:
        label_set=image_label_set,
        watched=watched_image_labels,
        answers=lambda wildcards: ANSWERED if holds_answers(wildcards) else {},
        blocklist_distance=lookup(dpath="sources/blocklist_distance", within=config),
        code=code_digest("tessera.stages.labels.whole:import_image_labels"),
    script:
        "../scripts/import_image_labels.py"


rule image_labels:
    input:
        expand(
            "<results>/labels/images/{image_labels}/labels.parquet",
            image_labels=READABLE,
        ),
        "<results>/gates/image_labels.json",


def negatives_of_shard(wildcards):
    """Return the decisions that frames of a shard show no region."""
    names = {file_name(source.source) for source in SHARDS[wildcards.shard]}
    return [
        decision.model_dump()
        for key, decision in FRAME_DECISIONS.items()
        if decision.decision == "negative" and source_of(key) in names
    ]


rule import_frame_labels:
    input:
        frames="<results>/frames/{shard}/frames.parquet",
        sources="<results>/sources/shards/{shard}/sources.parquet",
        stills="<results>/sources/shards/{shard}/files.parquet",
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
        negatives=negatives_of_shard,
        moved=moved_keys_of_shard,
        code=code_digest("tessera.stages.labels.frames:import_frame_labels"),
    script:
        "../scripts/import_frame_labels.py"
