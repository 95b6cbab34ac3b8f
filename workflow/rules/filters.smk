# Filters: select clips by their scores and by the decisions of people.

from tessera.catalogue import CLIPS
from tessera.workflow.code import digest_of_script
from tessera.workflow.datasets import gates_of
from tessera.workflow.labels import rows_of
from tessera.workflow.project import project_of

project = project_of(config)


rule filter_clips:
    input:
        clips=expand("<results>/clips/{shard}/clips.parquet", shard=project.shards),
        scores=expand("<results>/clips/{shard}/scores.parquet", shard=project.shards),
        classified=expand(
            "<results>/scores/clips/{shard}/{classifier}.parquet",
            shard=project.shards,
            classifier=config["filters"]["classifiers"],
        ),
        metrics=project.metrics_of(config["filters"]["classifiers"]),
        sources="<results>/sources/admitted.parquet",
        gates=project.of_job(gates_of),
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
        dataset=project.datasets_with_layout(CLIPS),
    params:
        settings=lookup(dpath="filters", within=config),
        decisions=rows_of(project.decided.clips),
        code=digest_of_script("filter_clips"),
    script:
        "../scripts/filter_clips.py"
