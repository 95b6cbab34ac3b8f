# The review page, where people decide, and what it asks first: `snakemake review`, or `make review`, which does not lock the folder.

import sys

from tessera.workflow.active_learning import asked_rounds, free_sources
from tessera.workflow.classifiers import label_checks
from tessera.workflow.code import digest_of_script
from tessera.workflow.detectors import evaluations
from tessera.workflow.embeddings import embeddings_with
from tessera.workflow.face_sets import (
    distances_of_set,
    face_sets,
    faces_of_all_sets,
)
from tessera.workflow.identities import identity_table, vectors_of_crops
from tessera.workflow.project import project_of, require_sources_or_images
from tessera.workflow.review import (
    answers_of_page,
    asked_labels,
    checked_datasets,
    content_of_all_sets,
    datasets_of_clips,
    datasets_of_labelled_frames,
    datasets_without_duplicates,
    labelled_pairs,
    page_settings,
    review_targets,
    shards_of_clips,
    shards_of_regions,
    shown_detector,
    shown_detectors,
    shows_pairs,
)
from tessera.workflow.withdrawal import WITHDRAWN

project = project_of(config)


localrules:
    review,


rule gather_review:
    input:
        project.of_job(require_sources_or_images),
        sources="<results>/sources/admitted.parquet",
        splits="<results>/datasets/splits.parquet" if project.datasets else [],
        clips=expand(
            "<results>/clips/{shard}/clips.parquet", shard=shards_of_clips(project)
        ),
        clip_scores=expand(
            "<results>/clips/{shard}/scores.parquet", shard=shards_of_clips(project)
        ),
        clip_images=expand(
            "<results>/clips/{shard}/images", shard=shards_of_clips(project)
        ),
        clip_masks=expand(
            "<results>/clips/{shard}/masks", shard=shards_of_clips(project)
        ),
        classified=expand(
            "<results>/scores/clips/{shard}/{classifier}.parquet",
            shard=shards_of_clips(project),
            classifier=config["filters"]["classifiers"],
        ),
        selections=expand(
            "<results>/selections/{dataset}/ledger.jsonl",
            dataset=datasets_of_clips(project),
        ),
        frames=expand("<results>/frames/{shard}/frames.parquet", shard=project.shards),
        frame_images=expand("<results>/frames/{shard}/images", shard=project.shards),
        regions=expand(
            "<results>/regions/{shard}/{detector}.parquet",
            shard=shards_of_regions(project),
            detector=shown_detectors(project),
        ),
        verdicts=expand(
            "<results>/regions/{shard}/detections.jsonl",
            shard=shards_of_regions(project),
        ),
        labelled=expand(
            "<results>/selections/{dataset}/ledger.jsonl",
            dataset=datasets_of_labelled_frames(project),
        ),
        frame_labels=(
            expand(
                "<results>/labels/frames/{shard}/annotations.parquet",
                shard=shards_of_regions(project),
            )
            if project.labelled_shards
            else []
        ),
        measured=evaluations(review_targets(project)),
        duplicates=(
            "<results>/duplicates/duplicates.parquet" if shows_pairs(project) else []
        ),
        near_duplicates=expand(
            "<results>/near_duplicates/{embedding}/near_duplicates.parquet",
            embedding=embeddings_with(project, "near_duplicates"),
        ),
        images=project.of_job(labelled_pairs),
        without_duplicates=expand(
            "<results>/selections/{dataset}/ledger.jsonl",
            dataset=datasets_without_duplicates(project),
        ),
        errors=expand(
            "<results>/evaluation/{model}/label_errors.parquet",
            model=label_checks(project),
        ),
        error_pictures=expand(
            "<results>/datasets/{dataset}/pictures.parquet",
            dataset=checked_datasets(project),
        ),
        error_images=expand(
            "<results>/datasets/{dataset}/images",
            dataset=checked_datasets(project),
        ),
        asked=asked_labels(project),
        identities=identity_table(project),
        crops=vectors_of_crops(project),
        crop_tables=expand(
            "<results>/crops/{shard}/crops.parquet",
            shard=project.shards if config["identities"] else [],
        ),
        faces=faces_of_all_sets(project, "faces.parquet"),
        face_images=faces_of_all_sets(project, "images"),
        face_orders=expand(
            "<results>/face_sets/{dataset}/orders.parquet", dataset=face_sets(project)
        ),
        face_selections=expand(
            "<results>/selections/{dataset}/ledger.jsonl", dataset=face_sets(project)
        ),
        # It removes the table if that shows what is refused now.
        withdrawn=WITHDRAWN,
        face_distances=[distances_of_set(project, name) for name in face_sets(project)],
    output:
        table="<results>/review/items.parquet",
        settings="<results>/review/page.json",
    log:
        "<logs>/gather_review.log",
    benchmark:
        "<benchmarks>/gather_review.jsonl"
    localrule: True
    params:
        filters=lookup(dpath="filters", within=config),
        choose=lookup(dpath="regions/choose", within=config),
        scenes=lookup(dpath="scenes", within=config),
        targets=review_targets(project),
        detector=shown_detector(project),
        free=free_sources(project, shown_detector(project)),
        distance=lookup(dpath="duplicates/distance", within=config),
        checked=list(label_checks(project)),
        answers=answers_of_page(project),
        # Each round is a folder that is never changed.
        rounds=len(asked_rounds(project)),
        sets=project.of_job(content_of_all_sets),
        blur=lookup(dpath="report/blur", within=config),
        # Where the page writes decisions, and what they may say.
        page=project.of_job(page_settings, workflow),
        code=digest_of_script("gather_review"),
    script:
        "../../scripts/gather_review.py"


rule make_proxies:
    input:
        table=rules.gather_review.output.table,
        images=rules.gather_review.input.clip_images,
        masks=rules.gather_review.input.clip_masks,
    output:
        # The proxies lie in a folder of the page, which adds those that are beyond the budget while it shows them.
        ledger="<results>/review/proxies.jsonl",
    log:
        "<logs>/make_proxies.log",
    benchmark:
        "<benchmarks>/make_proxies.jsonl"
    threads: 8
    params:
        budget=lookup(dpath="review/proxies", within=config),
        code=digest_of_script("make_proxies"),
    script:
        "../../scripts/make_proxies.py"


rule review:
    "the page on which people decide"
    input:
        table=rules.gather_review.output.table,
        settings=rules.gather_review.output.settings,
        proxies=rules.make_proxies.output.ledger,
    log:
        "<logs>/review.log",
    params:
        python=sys.executable,
    shell:
        "{params.python:q} -m tessera.pages.review.serve {input.table:q} 2> >(tee {log:q} >&2)"
