# Regions: what detectors see in the sampled frames, and what of it gets a mosaic.

from tessera.catalogue import fed_by, model_for
from tessera.core.definitions import code_digest
from tessera.core.weights.resolve import weights_checksums, weights_file

FINDERS = [
    name for name, finder in config["regions"]["detectors"].items() if finder["weights"]
]
GATES["regions"] = {
    "what detectors saw": (
        "regions",
        places("<results>/regions/{shard}/detections.jsonl"),
    ),
    "choosing frames": ("images", places("<results>/regions/{shard}/ledger.jsonl")),
}


wildcard_constraints:
    detector=any_of(FINDERS),


def finder_settings(wildcards):
    """Return the settings of a detector. Not by `lookup`: there are many such jobs, and it walks through all settings for each."""
    return config["regions"]["detectors"][wildcards.detector]


def finder_weights(wildcards):
    """Return the weights of a detector."""
    weights = finder_settings(wildcards)["weights"]
    return weights_file(weights, model_for(wildcards.detector))


def finder_checksums(wildcards):
    """Return the list of digests that weights trained here must agree with."""
    weights = finder_settings(wildcards)["weights"]
    return weights_checksums(weights, model_for(wildcards.detector))


rule find_regions:
    input:
        frames="<results>/frames/{shard}/frames.parquet",
        images="<results>/frames/{shard}/images",
        sources="<results>/sources/shards/{shard}/sources.parquet",
        weights=finder_weights,
        checksums=finder_checksums,
    output:
        table="<results>/regions/{shard}/{detector}.parquet",
        ledger="<results>/regions/{shard}/{detector}.jsonl",
    log:
        "<logs>/find_regions/{shard}/{detector}.log",
    benchmark:
        "<benchmarks>/find_regions/{shard}/{detector}.jsonl"
    threads: 4
    resources:
        gpu=1,
    params:
        settings=finder_settings,
        dataset=fed_by("regions")[0],
        code=code_digest(
            "tessera.pipeline.regions.find:find_regions",
            "tessera.imaging.detection.settings:TrainedFinderSettings",
        ),
    script:
        "../scripts/find_regions.py"


rule choose_regions:
    input:
        frames="<results>/frames/{shard}/frames.parquet",
        tables=expand(
            "<results>/regions/{{shard}}/{detector}.parquet", detector=FINDERS
        ),
        ledgers=expand("<results>/regions/{{shard}}/{detector}.jsonl", detector=FINDERS),
    output:
        regions="<results>/regions/{shard}/regions.parquet",
        backgrounds="<results>/regions/{shard}/backgrounds.parquet",
        ledger="<results>/regions/{shard}/ledger.jsonl",
        detections="<results>/regions/{shard}/detections.jsonl",
    log:
        "<logs>/choose_regions/{shard}.log",
    benchmark:
        "<benchmarks>/choose_regions/{shard}.jsonl"
    params:
        finders=FINDERS,
        settings=lookup(dpath="regions/choose", within=config),
        seed=lookup(dpath="seed", within=config),
        code=code_digest("tessera.pipeline.regions.choose:choose_regions"),
    script:
        "../scripts/choose_regions.py"
