# Concepts that classifiers learn from footage: copies of frames, degraded to stated levels.

from tessera.core.definitions import code_digest

# The settings of the copies, by the classifier that they are made for.
CONCEPTS = {
    name: classifier["pictures"]["degraded"]
    for name, classifier in config["classifiers"].items()
    if classifier["pictures"]["degraded"]
}
GATES["concepts"] = {
    "degraded frames": (
        "frames",
        expand(
            "<results>/concepts/{shard}/{concept}/ledger.jsonl",
            shard=SHARDS,
            concept=CONCEPTS,
        ),
    ),
}


wildcard_constraints:
    concept=any_of(CONCEPTS),


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
        settings=lambda wildcards: CONCEPTS[wildcards.concept],
        seed=lookup(dpath="seed", within=config),
        code=code_digest("tessera.extras.degraded_copies.degrade:degrade_frames"),
    script:
        "../scripts/degrade_frames.py"
