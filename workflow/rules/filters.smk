# Filters: select clips by their scores and by the decisions of people.

from tessera.catalogue import CLIPS
from tessera.core.definitions import code_digest


rule filter_clips:
    input:
        clips=expand("<results>/clips/{shard}/clips.parquet", shard=SHARDS),
        scores=expand("<results>/clips/{shard}/scores.parquet", shard=SHARDS),
        classified=expand(
            "<results>/scores/clips/{shard}/{classifier}.parquet",
            shard=SHARDS,
            classifier=config["filters"]["classifiers"],
        ),
        metrics=metrics_of(config["filters"]["classifiers"]),
        sources="<results>/sources/admitted.parquet",
        gates=of_dataset(
            lambda dataset: expand("<results>/gates/{room}.json", room=dataset.gates)
        ),
    output:
        kept="<results>/selections/{dataset}/clips.parquet",
        kept_scores="<results>/selections/{dataset}/scores.parquet",
        ledger="<results>/selections/{dataset}/ledger.jsonl",
        matched="<results>/selections/{dataset}/decisions.jsonl",
    log:
        "<logs>/filter_clips/{dataset}.log",
    benchmark:
        "<benchmarks>/filter_clips/{dataset}.jsonl"
    wildcard_constraints:
        dataset=laid_out_as(CLIPS),
    params:
        settings=lookup(dpath="filters", within=config),
        decisions=rows_of(CLIP_DECISIONS),
        code=code_digest("tessera.stages.filters.filtering:filter_clips"),
    script:
        "../scripts/filter_clips.py"
