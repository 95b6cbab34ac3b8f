# Filters: what clips are worth, what people said of them, and which of them stay.

from tessera.catalogue import CLIPS, model_for
from tessera.core.definitions import code_digest
from tessera.core.weights.resolve import weights_checksums, weights_file

SCORERS = {
    name: scorer["weights"]
    for name, scorer in config["scores"]["detectors"].items()
    if scorer["weights"]
}


def scorer_weights(wildcards):
    """Return the weights of the detectors that look at clips."""
    return [weights_file(weights, model_for(name)) for name, weights in SCORERS.items()]


def scorer_checksums(wildcards):
    """Return the lists of digests that weights trained here must agree with."""
    trained = [name for name, weights in SCORERS.items() if weights == "trained"]
    return [weights_checksums("trained", model_for(name)) for name in trained]


rule score_clips:
    input:
        clips="<results>/clips/{shard}/clips.parquet",
        images="<results>/clips/{shard}/images",
        weights=scorer_weights,
        checksums=scorer_checksums,
        quality=weights_file(config["scores"]["quality"]),
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
        scorers=list(SCORERS),
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
        gates=of_dataset(
            lambda dataset: expand("<results>/gates/{room}.json", room=dataset.gates)
        ),
    output:
        kept="<results>/selections/{dataset}/clips.parquet",
        kept_scores="<results>/selections/{dataset}/scores.parquet",
        ledger="<results>/selections/{dataset}/ledger.jsonl",
    log:
        "<logs>/filter_clips/{dataset}.log",
    benchmark:
        "<benchmarks>/filter_clips/{dataset}.jsonl"
    wildcard_constraints:
        dataset=laid_out_as(CLIPS),
    params:
        settings=lookup(dpath="filters", within=config),
        decisions=rows_of(CLIP_DECISIONS),
        code=code_digest("tessera.pipeline.filters.filtering:filter_clips"),
    script:
        "../scripts/filter_clips.py"
