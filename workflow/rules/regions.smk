# Regions: what detectors see in the sampled frames, and what of it gets a mosaic.

FINDERS = [
    name for name, finder in config["regions"]["detectors"].items() if finder["weights"]
]


wildcard_constraints:
    detector="|".join(FINDERS),


def finder_settings(wildcards):
    """Return the settings of a detector. Not by `lookup`: there are many such jobs, and it walks through all settings for each."""
    return config["regions"]["detectors"][wildcards.detector]


def finder_weights(wildcards):
    """Return the weights of a detector: those trained here, or the declared ones."""
    weights = finder_settings(wildcards)["weights"]
    model = f"{wildcards.detector}_detection"
    if weights == "trained":
        return f"<results>/weights/{model}/{model}.pt"
    return WeightsSettings(**weights).file


def finder_checksums(wildcards):
    """Return the list of digests that weights trained here must agree with; declared ones have their own."""
    weights = finder_settings(wildcards)["weights"]
    listed = f"<results>/weights/{wildcards.detector}_detection/SHA256SUMS"
    return listed if weights == "trained" else []


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
        dataset="mosaic_detection",
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
