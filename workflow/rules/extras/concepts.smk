# Concepts that classifiers learn from footage: copies of frames, degraded to stated levels.

from tessera.workflow.classifiers import concept_settings, degraded_concepts
from tessera.workflow.code import digest_of_script
from tessera.workflow.project import any_of, project_of

project = project_of(config)


wildcard_constraints:
    concept=any_of(degraded_concepts(project)),


rule degrade_frames:
    input:
        frames="<results>/frames/{shard}/frames.parquet",
        pictures="<results>/frames/{shard}/images",
        sources="<results>/sources/shards/{shard}/sources.parquet",
    output:
        labels="<results>/concepts/{shard}/{concept}/labels.parquet",
        degraded=directory("<results>/concepts/{shard}/{concept}/images"),
        ledger="<results>/concepts/{shard}/{concept}/ledger.jsonl",
    log:
        "<logs>/degrade_frames/{concept}/{shard}.log",
    benchmark:
        "<benchmarks>/degrade_frames/{concept}/{shard}.jsonl"
    threads: 2
    params:
        settings=project.of_job(concept_settings),
        seed=lookup(dpath="seed", within=config),
        code=digest_of_script("degrade_frames"),
    script:
        "../../scripts/degrade_frames.py"
