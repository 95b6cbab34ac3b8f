# Filters: what clips are worth, what people said of them, and which of them stay.

SCORERS = [
    name for name, scorer in config["scores"]["detectors"].items() if scorer["weights"]
]


def scorer_weights(wildcards):
    """Return the weights of the detectors that look at clips: those trained here, or the declared ones."""
    weights = [config["scores"]["detectors"][name]["weights"] for name in SCORERS]
    return [
        (
            f"<results>/weights/{name}_detection/{name}_detection.pt"
            if declared == "trained"
            else WeightsSettings(**declared).file
        )
        for name, declared in zip(SCORERS, weights)
    ]


def scorer_checksums(wildcards):
    """Return the lists of digests that weights trained here must agree with; declared ones have their own."""
    return [
        f"<results>/weights/{name}_detection/SHA256SUMS"
        for name in SCORERS
        if config["scores"]["detectors"][name]["weights"] == "trained"
    ]


def quality_weights(wildcards):
    """Return the model of video quality, or nothing."""
    declared = config["scores"]["quality"]
    return WeightsSettings(**declared).file if declared else []


rule score_clips:
    input:
        clips="<results>/clips/{shard}/clips.parquet",
        images="<results>/clips/{shard}/images",
        weights=scorer_weights,
        checksums=scorer_checksums,
        quality=quality_weights,
    output:
        table="<results>/clips/{shard}/scores.parquet",
        ledger="<results>/clips/{shard}/scores.jsonl",
    log:
        "<logs>/score_clips/{shard}.log",
    benchmark:
        "<benchmarks>/score_clips/{shard}.jsonl"
    threads: 2
    resources:
        gpu=1,
    params:
        settings=lookup(dpath="scores", within=config),
        scorers=SCORERS,
        code=code_digest(
            "tessera.pipeline.filters.scoring:score_clips",
            "tessera.imaging.detection.detector:Predictor",
            "tessera.imaging.detection.settings:TrainedFinderSettings",
        ),
    script:
        "../scripts/score_clips.py"


rule filter_clips:
    input:
        clips=expand("<results>/clips/{shard}/clips.parquet", shard=SHARDS),
        scores=expand("<results>/clips/{shard}/scores.parquet", shard=SHARDS),
        sources="<results>/sources/admitted.parquet",
        gates=expand("<results>/gates/{room}.json", room=["scenes", "clips"]),
    output:
        kept="<results>/annotations/mosaic_restoration/clips.parquet",
        kept_scores="<results>/annotations/mosaic_restoration/scores.parquet",
        ledger="<results>/annotations/mosaic_restoration/ledger.jsonl",
    log:
        "<logs>/filter_clips.log",
    benchmark:
        "<benchmarks>/filter_clips.jsonl"
    params:
        settings=lookup(dpath="filters", within=config),
        decisions=rows_of(CLIP_DECISIONS),
        code=code_digest("tessera.pipeline.filters.filtering:filter_clips"),
    script:
        "../scripts/filter_clips.py"
