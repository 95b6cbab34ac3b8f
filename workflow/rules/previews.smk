# What a detector sees in footage: to look at, and to correct. `snakemake preview`

from tessera.previews import previewed_sources

try:
    PREVIEWED = previewed_sources(
        SHARDS,
        config["preview"]["sources"],
        list(config["preview"]["proposals"]["frames"]),
    )
except TesseraError as error:
    raise WorkflowError(str(error)) from None

PREVIEW_MODEL = config["preview"]["model"]


localrules:
    preview,


def sources_to_preview(wildcards):
    """Return the ids of the sources of a shard that are previewed."""
    return PREVIEWED[wildcards.shard]


def sources_asked_for(wildcards):
    """Return the ids that the settings name; a function, for Snakemake would expand the braces in them."""
    return config["preview"]["sources"]


rule preview:
    input:
        "<results>/previews/summary.json",
        expand(
            "<results>/previews/{shard}/{part}",
            shard=PREVIEWED,
            part=["overlays", "sheets", "proposals.tsv"],
        ),


rule predict_source:
    input:
        sources="<results>/sources/shards/{shard}/sources.parquet",
        files=shard_files,
        weights=f"<results>/weights/{PREVIEW_MODEL}/{PREVIEW_MODEL}.pt",
        checksums=f"<results>/weights/{PREVIEW_MODEL}/SHA256SUMS",
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
        wanted=sources_to_preview,
        settings=lookup(dpath="preview/predict", within=config),
        code=code_digest("tessera.detectors.predict"),
    script:
        "../scripts/predict_source.py"


rule render_preview:
    input:
        sources="<results>/sources/shards/{shard}/sources.parquet",
        files=shard_files,
        frames="<results>/previews/{shard}/frames.parquet",
        predictions="<results>/previews/{shard}/predictions.parquet",
    output:
        overlays=directory("<results>/previews/{shard}/overlays"),
        sheets=directory("<results>/previews/{shard}/sheets"),
    log:
        "<logs>/render_preview/{shard}.log",
    benchmark:
        "<benchmarks>/render_preview/{shard}.jsonl"
    params:
        confidence=lookup(dpath="preview/confidence", within=config),
        settings=lookup(dpath="preview/render", within=config),
        code=code_digest("tessera.previews"),
    script:
        "../scripts/render_preview.py"


rule propose_labels:
    input:
        sources="<results>/sources/shards/{shard}/sources.parquet",
        files=shard_files,
        frames="<results>/previews/{shard}/frames.parquet",
        predictions="<results>/previews/{shard}/predictions.parquet",
    output:
        # The proposals themselves belong to the person who corrects them, not to the workflow.
        report="<results>/previews/{shard}/proposals.tsv",
    log:
        "<logs>/propose_labels/{shard}.log",
    benchmark:
        "<benchmarks>/propose_labels/{shard}.jsonl"
    params:
        confidence=lookup(dpath="preview/confidence", within=config),
        settings=lookup(dpath="preview/proposals", within=config),
        code=code_digest("tessera.annotations.proposals"),
    script:
        "../scripts/propose_labels.py"


rule gate_previews:
    input:
        ledgers=expand("<results>/previews/{shard}/ledger.jsonl", shard=PREVIEWED),
    output:
        summary="<results>/previews/summary.json",
    log:
        "<logs>/gate_previews.log",
    benchmark:
        "<benchmarks>/gate_previews.jsonl"
    params:
        asked=sources_asked_for,
        code=code_digest("tessera.previews"),
    script:
        "../scripts/gate_previews.py"
