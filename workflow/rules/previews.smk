# Previews: draw the detections in footage, and propose labels to correct. `snakemake preview`

from tessera.catalogue import RESTORER, all_datasets, all_models
from tessera.core.definitions import code_digest
from tessera.learning.weights.resolve import weights_checksums, weights_file
from tessera.records.previews import previewed_sources

try:
    PREVIEWED = previewed_sources(
        SHARDS,
        config["preview"]["sources"],
        {
            "preview.proposals.frames": config["preview"]["proposals"]["frames"],
            "preview.restore.shown": config["preview"]["restore"]["shown"],
            "preview.restore.spans": config["preview"]["restore"]["spans"],
        },
    )
except TesseraError as error:
    raise WorkflowError(str(error)) from None

PREVIEW_MODEL = config["preview"]["model"]
PREVIEWED_MODEL = next(
    model for model in all_models(config) if model.name == PREVIEW_MODEL
)
PREVIEW_TARGETS = targets_in(config, "preview.confidence", previewed=PREVIEW_MODEL)
IS_RESTORED = PREVIEWED_MODEL.kind is RESTORER
# The weights of the preview: those trained here or, if the model is not trained, those declared instead.
PREVIEW_WEIGHTS = (
    "trained"
    if PREVIEW_MODEL in MODELS or IS_RESTORED
    else config["regions"]["detectors"][PREVIEWED_MODEL.finds]["weights"]
)


localrules:
    preview,


def sources_to_preview(wildcards):
    """Return the ids of the sources of a shard that are previewed."""
    return PREVIEWED[wildcards.shard]


def sources_in(shards):
    """Return a function that returns the ids in `shards`. In plain strings, Snakemake would expand braces."""
    return lambda wildcards: [source for ids in shards.values() for source in ids]


def sources_asked_for(wildcards):
    """Return the ids of the sources that the settings name. In plain strings, Snakemake would expand braces."""
    return config["preview"]["sources"]


def previewed_classes(wildcards):
    """Return the classes of the dataset of the previewed model. In plain strings, Snakemake would expand braces."""
    return next(
        dataset.classes(config)
        for dataset in all_datasets(config)
        if dataset.name == PREVIEWED_MODEL.dataset
    )


def sources_free_of_it(wildcards):
    """Return the ids of the sources of a shard that are known to show nothing that the previewed model finds."""
    return [
        source.source
        for source in SHARDS[wildcards.shard]
        if PREVIEWED_MODEL.finds in source.free_of
    ]


def preview_weights(wildcards):
    """Return the weights of the preview."""
    if PREVIEW_WEIGHTS == "trained" and PREVIEW_MODEL not in MODELS:
        raise TesseraError(
            f"`preview.model` is {PREVIEW_MODEL}, `models.{PREVIEW_MODEL}` is null, and `regions.detectors` declares no"
            " weights for it: name another model"
        )
    return weights_file(PREVIEW_WEIGHTS, PREVIEW_MODEL)


rule preview:
    input:
        footage,
        (
            "<results>/restored/summary.json"
            if IS_RESTORED
            else [
                "<results>/previews/summary.json",
                *expand(
                    "<results>/previews/{shard}/{part}",
                    shard=PREVIEWED,
                    part=["overlays", "sheets", "proposals.tsv"],
                ),
            ]
        ),


rule predict_source:
    input:
        sources="<results>/sources/shards/{shard}/sources.parquet",
        stills="<results>/sources/shards/{shard}/files.parquet",
        files=shard_files,
        weights=preview_weights,
        checksums=weights_checksums(PREVIEW_WEIGHTS, PREVIEW_MODEL),
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
        weights=verbatim(PREVIEW_WEIGHTS),
        settings=lookup(dpath="preview/predict", within=config),
        code=code_digest(
            "tessera.stages.detectors.predict:predict_previews",
            "tessera.learning.weights.resolve:expected_digest",
        ),
    script:
        "../scripts/predict_source.py"


rule render_preview:
    input:
        sources="<results>/sources/shards/{shard}/sources.parquet",
        stills="<results>/sources/shards/{shard}/files.parquet",
        files=shard_files,
        frames="<results>/previews/{shard}/frames.parquet",
        predictions="<results>/previews/{shard}/predictions.parquet",
        measured=evaluations(PREVIEW_TARGETS),
    output:
        overlays=directory("<results>/previews/{shard}/overlays"),
        sheets=directory("<results>/previews/{shard}/sheets"),
    log:
        "<logs>/render_preview/{shard}.log",
    benchmark:
        "<benchmarks>/render_preview/{shard}.jsonl"
    params:
        preview={"confidence": config["preview"]["confidence"]},
        targets=PREVIEW_TARGETS,
        settings=lookup(dpath="preview/render", within=config),
        code=code_digest(
            "tessera.stages.detectors.rendering:render_previews",
            "tessera.records.confidence:with_confidences",
        ),
    script:
        "../scripts/render_preview.py"


rule propose_labels:
    input:
        sources="<results>/sources/shards/{shard}/sources.parquet",
        stills="<results>/sources/shards/{shard}/files.parquet",
        files=shard_files,
        frames="<results>/previews/{shard}/frames.parquet",
        predictions="<results>/previews/{shard}/predictions.parquet",
        measured=evaluations(PREVIEW_TARGETS),
    output:
        # The proposals are not outputs, because they belong to the person who corrects them.
        report="<results>/previews/{shard}/proposals.tsv",
        labelling="<results>/previews/{shard}/label_studio.xml",
    log:
        "<logs>/propose_labels/{shard}.log",
    benchmark:
        "<benchmarks>/propose_labels/{shard}.jsonl"
    params:
        labels=verbatim(lookup(dpath="annotations/frame_labels", within=config)),
        watched=frame_labels_of_shard,
        preview={"confidence": config["preview"]["confidence"]},
        targets=PREVIEW_TARGETS,
        settings=lookup(dpath="preview/proposals", within=config),
        model=PREVIEW_MODEL,
        classes=previewed_classes,
        free=sources_free_of_it,
        moved=moved_keys_of_shard,
        code=code_digest(
            "tessera.stages.labels.proposals:propose_labels",
            "tessera.records.confidence:with_confidences",
        ),
    script:
        "../scripts/propose_labels.py"


# The last job, so that what it prints is not lost among the messages of others.
rule gate_previews:
    input:
        ledgers=expand("<results>/previews/{shard}/ledger.jsonl", shard=PREVIEWED),
        reports=expand("<results>/previews/{shard}/proposals.tsv", shard=PREVIEWED),
        sheets=expand("<results>/previews/{shard}/sheets", shard=PREVIEWED),
    output:
        summary="<results>/previews/summary.json",
    log:
        "<logs>/gate_previews.log",
    benchmark:
        "<benchmarks>/gate_previews.jsonl"
    localrule: True
    params:
        previewed=sources_in(PREVIEWED),
        asked=sources_asked_for,
        folder=verbatim(lookup(dpath="preview/proposals/folder", within=config)),
        code=code_digest("tessera.stages.labels.proposals:gate_previews"),
    script:
        "../scripts/gate_previews.py"


rule withdraw_proposals:
    output:
        withdrawn="<results>/previews/withdrawn.tsv",
    log:
        "<logs>/withdraw_proposals.log",
    benchmark:
        "<benchmarks>/withdraw_proposals.jsonl"
    localrule: True
    params:
        folder=verbatim(lookup(dpath="preview/proposals/folder", within=config)),
        sources=source_order,
        code=code_digest("tessera.stages.labels.proposals:withdraw_proposals"),
    script:
        "../scripts/withdraw_proposals.py"
