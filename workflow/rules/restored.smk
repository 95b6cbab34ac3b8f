# Restored footage: find the mosaics in videos, restore them, and show the result beside the original. `snakemake preview`

from tessera.catalogue import DETECTOR, all_models, model_for
from tessera.core.definitions import code_digest
from tessera.learning.weights.resolve import weights_checksums, weights_file
from tessera.imaging.crops import CropSettings

RESTORING = config["preview"]["restore"]
RESTORER_NAME = next(
    model.name for model in all_models(config) if model.kind is RESTORER
)
RESTORED_TARGETS = targets_in(config, "preview.restore")
MOSAIC_DETECTOR = RESTORING["detect"]["weights"], model_for("mosaic")
# The ids of the sources to restore, by shard: those that are previewed, and those that the report shows.
RESTORED = {
    shard: ids
    for shard, sources in SHARDS.items()
    if (
        ids := [
            source.source
            for source in sources
            if source.source in RESTORING["shown"]
            or (IS_RESTORED and source.source in PREVIEWED.get(shard, []))
        ]
    )
}


def sources_to_restore(wildcards):
    """Return the ids of the sources of a shard that are restored."""
    return RESTORED[wildcards.shard]


def needed(place, weights, model, suffix):
    """Return a function that returns the file of `weights`, the setting `place`."""

    def file(wildcards):
        if weights is None or weights == "trained" and model not in MODELS:
            raise TesseraError(
                f"`preview.restore.{place}` is {weights or 'null'}, and no {model} is trained here: declare weights there,"
                " or restore no footage"
            )
        return weights_file(weights, model, suffix)

    return file


# The stores, folders named `kept`, are not outputs, so that they survive killed jobs and changes.
rule find_mosaics:
    input:
        sources="<results>/sources/shards/{shard}/sources.parquet",
        files=shard_files,
        weights=needed("detect.weights", *MOSAIC_DETECTOR, ".pt"),
        checksums=weights_checksums(*MOSAIC_DETECTOR),
        measured=evaluations(RESTORED_TARGETS),
    output:
        frames="<results>/restored/{shard}/frames.parquet",
        detections="<results>/restored/{shard}/detections.parquet",
        detection_ledger="<results>/restored/{shard}/detections.jsonl",
        scenes="<results>/restored/{shard}/scenes.parquet",
        scene_frames="<results>/restored/{shard}/scene_frames.parquet",
        scene_ledger="<results>/restored/{shard}/scenes.jsonl",
    log:
        "<logs>/find_mosaics/{shard}.log",
    benchmark:
        "<benchmarks>/find_mosaics/{shard}.jsonl"
    threads: 8
    resources:
        gpu=1,
    params:
        wanted=sources_to_restore,
        detect=lookup(dpath="preview/restore/detect", within=config),
        track=lookup(dpath="preview/restore/track", within=config),
        choose=lookup(dpath="preview/restore/choose", within=config),
        spans=verbatim(RESTORING["spans"]),
        targets=RESTORED_TARGETS,
        seed=lookup(dpath="seed", within=config),
        detected_by=code_digest("tessera.stages.clips.detect:detect_videos"),
        code=code_digest(
            "tessera.stages.clips.detect:detect_videos",
            "tessera.learning.detection.tracking:track",
            "tessera.stages.clips.find:find_scenes",
            "tessera.learning.weights.resolve:expected_digest",
            "tessera.records.confidence:with_confidences",
        ),
    script:
        "../scripts/find_mosaics.py"


rule restore_previews:
    input:
        sources="<results>/sources/shards/{shard}/sources.parquet",
        files=shard_files,
        scenes="<results>/restored/{shard}/scenes.parquet",
        scene_frames="<results>/restored/{shard}/scene_frames.parquet",
        found="<results>/restored/{shard}/detections.jsonl",
        weights=needed("weights", RESTORING["weights"], RESTORER_NAME, ".safetensors"),
        checksums=weights_checksums(RESTORING["weights"], RESTORER_NAME),
    output:
        videos=directory("<results>/restored/{shard}/videos"),
        comparisons=directory("<results>/restored/{shard}/comparisons"),
        sheets=directory("<results>/restored/{shard}/sheets"),
        ledger="<results>/restored/{shard}/ledger.jsonl",
    log:
        "<logs>/restore_previews/{shard}.log",
    benchmark:
        "<benchmarks>/restore_previews/{shard}.jsonl"
    threads: 8
    resources:
        gpu=1,
    params:
        settings=verbatim(
            {
                name: RESTORING[name]
                for name in RESTORING
                if name not in ("shown", "detect", "track", "choose")
            }
        ),
        crops={name: config["clips"][name] for name in CropSettings.model_fields},
        size=lookup(dpath="restoration/data/size", within=config),
        keep_aspect=lookup(dpath="restoration/data/keep_aspect", within=config),
        render=lookup(dpath="preview/render", within=config),
        restored_by=code_digest(
            "tessera.stages.restore.restored:restore_video",
            "tessera.stages.restoration.inference:restore_clip",
        ),
        code=code_digest(
            "tessera.stages.restore.restored:restore_previews",
            "tessera.stages.restoration.inference:restore_clip",
            "tessera.learning.weights.resolve:expected_digest",
            "tessera.learning.weights.resolve:verify_weights",
        ),
    script:
        "../scripts/restore_previews.py"


# The last job, so that what it prints is not lost among the messages of others.
rule gate_restored:
    input:
        ledgers=expand("<results>/restored/{shard}/ledger.jsonl", shard=RESTORED),
    output:
        summary="<results>/restored/summary.json",
    log:
        "<logs>/gate_restored.log",
    benchmark:
        "<benchmarks>/gate_restored.jsonl"
    localrule: True
    params:
        previewed=sources_in(RESTORED),
        asked=sources_asked_for,
        code=code_digest("tessera.stages.restore.restored:gate_restored"),
    script:
        "../scripts/gate_restored.py"


def of_shown(name):
    """Return the file `name` of each shard with a source that the report shows."""
    return [
        f"<results>/restored/{shard}/{name}"
        for shard, sources in SHARDS.items()
        if any(source.source in RESTORING["shown"] for source in sources)
    ]


rule show_footage:
    input:
        comparisons=of_shown("comparisons"),
        scenes=of_shown("scenes.parquet"),
        scene_frames=of_shown("scene_frames.parquet"),
        ledgers=of_shown("ledger.jsonl"),
        sources="<results>/sources/admitted.parquet",
    output:
        page=report(
            "<results>/reports/footage.html",
            caption="../report/footage.rst",
            category="3. Models",
            subcategory="restored footage",
            labels={"figure": "Before and after"},
        ),
    log:
        "<logs>/show_footage.log",
    benchmark:
        "<benchmarks>/show_footage.jsonl"
    params:
        shown=verbatim(RESTORING["shown"]),
        settings=lookup(dpath="report", within=config),
        code=code_digest("tessera.pages.report.footage:show_footage"),
    script:
        "../scripts/show_footage.py"
