# Mosaics: detect regions in the sampled frames, choose some, and draw mosaics over them.

from tessera.catalogue import fed_by, model_for
from tessera.core.definitions import code_digest
from tessera.learning.weights.resolve import weights_checksums, weights_file

REGION_DETECTORS = {
    name: detector["weights"]
    for name, detector in config["regions"]["detectors"].items()
    if detector["weights"]
}
REGION_TARGETS = targets_in(config, "regions")
GATES["regions"] = {
    "choosing regions": (
        "regions",
        places("<results>/regions/{shard}/detections.jsonl"),
    ),
    "choosing frames": ("images", places("<results>/regions/{shard}/ledger.jsonl")),
}
GATES["mosaics"] = {
    "mosaics": ("regions", places("<results>/mosaics/{shard}/mosaics.jsonl")),
    "pixelating": ("images", places("<results>/mosaics/{shard}/ledger.jsonl")),
    "reading masks": ("images", places("<results>/mosaics/{shard}/masks.jsonl")),
    "labels in sets": set_ledgers("mosaics"),
}


def region_decisions_of_shard(wildcards):
    """Return the decisions on regions in the frames of a shard."""
    names = {file_name(source.source) for source in SHARDS[wildcards.shard]}
    return [
        decision.model_dump()
        for key, decision in REGION_DECISIONS.items()
        if source_of(key.rpartition("+")[0]) in names
    ]


# One job, because every change reruns all later steps. The store keeps the detections of each source.
rule pixelate_frames:
    input:
        frames="<results>/frames/{shard}/frames.parquet",
        pictures="<results>/frames/{shard}/images",
        sources="<results>/sources/shards/{shard}/sources.parquet",
        weights=[
            weights_file(weights, model_for(name))
            for name, weights in REGION_DETECTORS.items()
        ],
        checksums=[
            weights_checksums(weights, model_for(name))
            for name, weights in REGION_DETECTORS.items()
            if weights == "trained"
        ],
        measured=evaluations(REGION_TARGETS),
    output:
        # The store, the folder `kept`, is not an output, so that it survives killed jobs and changes.
        seen=expand(
            "<results>/regions/{{shard}}/{detector}.parquet", detector=REGION_DETECTORS
        ),
        looked=expand(
            "<results>/regions/{{shard}}/{detector}.jsonl", detector=REGION_DETECTORS
        ),
        regions="<results>/regions/{shard}/regions.parquet",
        backgrounds="<results>/regions/{shard}/backgrounds.parquet",
        frame_ledger="<results>/regions/{shard}/ledger.jsonl",
        detection_ledger="<results>/regions/{shard}/detections.jsonl",
        matched="<results>/regions/{shard}/decisions.jsonl",
        mosaics="<results>/mosaics/{shard}/mosaics.parquet",
        pictures=directory("<results>/mosaics/{shard}/images"),
        masks=directory("<results>/mosaics/{shard}/masks"),
        ledger="<results>/mosaics/{shard}/ledger.jsonl",
        mosaic_ledger="<results>/mosaics/{shard}/mosaics.jsonl",
        images="<results>/mosaics/{shard}/images.parquet",
        annotations="<results>/mosaics/{shard}/annotations.parquet",
        mask_ledger="<results>/mosaics/{shard}/masks.jsonl",
    log:
        "<logs>/pixelate_frames/{shard}.log",
    benchmark:
        "<benchmarks>/pixelate_frames/{shard}.jsonl"
    threads: 8
    resources:
        gpu=1,
    params:
        detectors=verbatim(
            {name: config["regions"]["detectors"][name] for name in REGION_DETECTORS}
        ),
        datasets=fed_by("regions"),
        choose=lookup(dpath="regions/choose", within=config),
        targets=REGION_TARGETS,
        decisions=region_decisions_of_shard,
        settings=lookup(dpath="mosaics", within=config),
        degradations=lookup(dpath="degradations", within=config),
        min_area=lookup(dpath="annotations/min_area", within=config),
        seed=lookup(dpath="seed", within=config),
        detected_by=code_digest("tessera.stages.mosaics.find:find_regions"),
        code=code_digest(
            "tessera.stages.mosaics.find:find_regions",
            "tessera.stages.mosaics.choose:choose_regions",
            "tessera.records.confidence:with_confidences",
            "tessera.stages.mosaics.samples:pixelate_frames",
            "tessera.imaging.degradation.chain:degrade",
            "tessera.stages.mosaics.masks:import_masks",
            "tessera.learning.weights.resolve:expected_digest",
            "tessera.imaging.degradation.settings:DegradationSettings",
            "tessera.learning.detection.settings:TrainedDetectionSettings",
            "tessera.imaging.mosaic.settings:CLASSES",
        ),
    script:
        "../scripts/pixelate_frames.py"
