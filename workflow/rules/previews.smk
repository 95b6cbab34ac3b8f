# Previews: draw the detections in footage, and propose labels to correct. `snakemake preview`, or `propose` without pictures

from tessera.workflow.code import digest_of_script
from tessera.workflow.detectors import evaluations
from tessera.workflow.labels import frame_labels_of_shard
from tessera.workflow.previews import (
    declared_preview_weights,
    free_of_previewed,
    meant_by_detector,
    mosaics_in_previews,
    preview_checksums,
    preview_files,
    preview_targets,
    preview_weights,
    previewed,
    previewed_classes,
    proposal_files,
    sources_in,
    sources_to_preview,
)
from tessera.workflow.project import literal_param, project_of, require_sources
from tessera.workflow.sources import moved_keys_of_shard, shard_files, source_order

project = project_of(config)


localrules:
    preview,
    propose,


rule preview:
    "a detector at work on footage: detections drawn, labels proposed"
    input:
        project.of_job(require_sources),
        preview_files(project),


rule propose:
    "labels proposed as in `preview`, and nothing drawn"
    input:
        project.of_job(require_sources),
        proposal_files(project),


rule predict_source:
    input:
        sources="<results>/sources/shards/{shard}/sources.parquet",
        admission="<results>/sources/shards/{shard}/ledger.jsonl",
        stills="<results>/sources/shards/{shard}/files.parquet",
        files=project.of_job(shard_files),
        weights=project.of_job(preview_weights),
        checksums=preview_checksums(project),
    output:
        frames="<results>/previews/{shard}/frames.parquet",
        predictions="<results>/previews/{shard}/predictions.parquet",
        ledger="<results>/previews/{shard}/ledger.jsonl",
    log:
        "<logs>/predict_source/{shard}.log",
    benchmark:
        "<benchmarks>/predict_source/{shard}.jsonl"
    threads: 4
    resources:
        gpu=1,
    params:
        wanted=project.of_job(sources_to_preview),
        weights=literal_param(declared_preview_weights(project)),
        settings=lookup(dpath="preview/predict", within=config),
        meant=project.of_job(meant_by_detector),
        mosaics=literal_param(mosaics_in_previews(project)),
        code=digest_of_script("predict_source"),
    script:
        "../scripts/predict_source.py"


rule render_preview:
    input:
        sources="<results>/sources/shards/{shard}/sources.parquet",
        stills="<results>/sources/shards/{shard}/files.parquet",
        files=project.of_job(shard_files),
        frames="<results>/previews/{shard}/frames.parquet",
        predictions="<results>/previews/{shard}/predictions.parquet",
        measured=evaluations(preview_targets(project)),
    output:
        overlays=directory("<results>/previews/{shard}/overlays"),
        sheets=directory("<results>/previews/{shard}/sheets"),
    log:
        "<logs>/render_preview/{shard}.log",
    benchmark:
        "<benchmarks>/render_preview/{shard}.jsonl"
    params:
        preview={"confidence": config["preview"]["confidence"]},
        targets=preview_targets(project),
        settings=lookup(dpath="preview/render", within=config),
        code=digest_of_script("render_preview"),
    script:
        "../scripts/render_preview.py"


rule propose_labels:
    input:
        sources="<results>/sources/shards/{shard}/sources.parquet",
        stills="<results>/sources/shards/{shard}/files.parquet",
        files=project.of_job(shard_files),
        frames="<results>/previews/{shard}/frames.parquet",
        predictions="<results>/previews/{shard}/predictions.parquet",
        measured=evaluations(preview_targets(project)),
    output:
        # The proposals are not outputs, because they belong to the person who corrects them.
        report="<results>/previews/{shard}/proposals.tsv",
        labelling="<results>/previews/{shard}/label_studio.xml",
    log:
        "<logs>/propose_labels/{shard}.log",
    benchmark:
        "<benchmarks>/propose_labels/{shard}.jsonl"
    params:
        labels=literal_param(lookup(dpath="annotations/frame_labels", within=config)),
        watched=project.of_job(frame_labels_of_shard),
        preview={"confidence": config["preview"]["confidence"]},
        targets=preview_targets(project),
        settings=lookup(dpath="preview/proposals", within=config),
        model=config["preview"]["model"],
        classes=project.of_job(previewed_classes),
        free=project.of_job(free_of_previewed),
        moved=project.of_job(moved_keys_of_shard),
        code=digest_of_script("propose_labels"),
    script:
        "../scripts/propose_labels.py"


# The last job, so that what it prints is not lost among the messages of others.
rule gate_previews:
    input:
        ledgers=expand(
            "<results>/previews/{shard}/ledger.jsonl", shard=previewed(project)
        ),
        reports=expand(
            "<results>/previews/{shard}/proposals.tsv", shard=previewed(project)
        ),
        sheets=expand("<results>/previews/{shard}/sheets", shard=previewed(project)),
    output:
        summary="<results>/previews/summary.json",
    log:
        "<logs>/gate_previews.log",
    benchmark:
        "<benchmarks>/gate_previews.jsonl"
    localrule: True
    params:
        previewed=sources_in(previewed(project)),
        asked=literal_param(config["preview"]["sources"]),
        folder=literal_param(lookup(dpath="preview/proposals/folder", within=config)),
        code=digest_of_script("gate_previews"),
    script:
        "../scripts/gate_previews.py"


use rule gate_previews as gate_proposals with:
    input:
        ledgers=expand(
            "<results>/previews/{shard}/ledger.jsonl", shard=previewed(project)
        ),
        reports=expand(
            "<results>/previews/{shard}/proposals.tsv", shard=previewed(project)
        ),
        sheets=[],
    output:
        summary="<results>/previews/proposed.json",
    log:
        "<logs>/gate_proposals.log",
    benchmark:
        "<benchmarks>/gate_proposals.jsonl"


rule withdraw_proposals:
    output:
        withdrawn="<results>/previews/withdrawn.tsv",
    log:
        "<logs>/withdraw_proposals.log",
    benchmark:
        "<benchmarks>/withdraw_proposals.jsonl"
    localrule: True
    params:
        folder=literal_param(lookup(dpath="preview/proposals/folder", within=config)),
        sources=project.of_job(source_order),
        code=digest_of_script("withdraw_proposals"),
    script:
        "../scripts/withdraw_proposals.py"
