# Labels that people drew: import sets of labelled images, and labels of sampled frames.

from tessera.workflow.code import digest_of_script
from tessera.workflow.labels import (
    classes_of_set,
    given_answers,
    image_label_set,
    label_set,
    negatives_of_shard,
    setting_of_set,
    source_of_set,
    sources_of_answers,
    watched_frame_labels,
    watched_image_labels,
    watched_labels,
)
from tessera.workflow.project import any_of, literal_param, project_of
from tessera.workflow.sources import moved_keys_of_shard

project = project_of(config)


wildcard_constraints:
    labels=any_of(project.labels),
    image_labels=any_of(project.image_labels),


localrules:
    image_labels,


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
        label_set=project.of_job(label_set),
        setting=project.of_job(setting_of_set),
        source=project.of_job(source_of_set),
        watched=project.of_job(watched_labels),
        classes=project.of_job(classes_of_set),
        min_area=lookup(dpath="annotations/min_area", within=config),
        blocklist_distance=lookup(dpath="sources/blocklist_distance", within=config),
        code=digest_of_script("import_labels"),
    script:
        "../scripts/import_labels.py"


rule import_image_labels:
    input:
        blocklist=lookup(dpath="sources/blocklist", within=config),
        # Frames that were asked for belong to their sources.
        sources=project.of_job(sources_of_answers),
    output:
        labels="<results>/labels/images/{image_labels}/labels.parquet",
        pictures=directory("<results>/labels/images/{image_labels}/pictures"),
        ledger="<results>/labels/images/{image_labels}/ledger.jsonl",
    log:
        "<logs>/import_image_labels/{image_labels}.log",
    benchmark:
        "<benchmarks>/import_image_labels/{image_labels}.jsonl"
    params:
        label_set=project.of_job(image_label_set),
        watched=project.of_job(watched_image_labels),
        answers=project.of_job(given_answers),
        blocklist_distance=lookup(dpath="sources/blocklist_distance", within=config),
        code=digest_of_script("import_image_labels"),
    script:
        "../scripts/import_image_labels.py"


rule image_labels:
    "what is read of the sets of labelled images in `annotations.image_labels`"
    input:
        expand(
            "<results>/labels/images/{image_labels}/labels.parquet",
            image_labels=project.readable_image_labels,
        ),
        "<results>/gates/image_labels.json",


rule import_frame_labels:
    input:
        frames="<results>/frames/{shard}/frames.parquet",
        sources="<results>/sources/shards/{shard}/sources.parquet",
        admission="<results>/sources/shards/{shard}/ledger.jsonl",
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
        folder=literal_param(lookup(dpath="annotations/frame_labels", within=config)),
        watched=project.of_job(watched_frame_labels),
        classes=literal_param(lookup(dpath="annotations/classes", within=config)),
        min_area=lookup(dpath="annotations/min_area", within=config),
        negatives=project.of_job(negatives_of_shard),
        moved=project.of_job(moved_keys_of_shard),
        code=digest_of_script("import_frame_labels"),
    script:
        "../scripts/import_frame_labels.py"
