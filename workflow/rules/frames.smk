# Frames: sample them from the admitted sources, and find near-duplicates.

from tessera.workflow.code import digest_of_script
from tessera.workflow.labels import decisions_on_folders, labelled_images
from tessera.workflow.project import literal_param, project_of
from tessera.workflow.sources import shard_files

project = project_of(config)


rule sample_frames:
    input:
        sources="<results>/sources/shards/{shard}/sources.parquet",
        stills="<results>/sources/shards/{shard}/files.parquet",
        files=project.of_job(shard_files),
    output:
        # The store, the folder `kept`, is not an output, so that it survives killed jobs and changes.
        table="<results>/frames/{shard}/frames.parquet",
        images=directory("<results>/frames/{shard}/images"),
        ledger="<results>/frames/{shard}/ledger.jsonl",
    log:
        "<logs>/sample_frames/{shard}.log",
    benchmark:
        "<benchmarks>/sample_frames/{shard}.jsonl"
    threads: 2
    params:
        settings=lookup(dpath="frames", within=config),
        code=digest_of_script("sample_frames"),
    script:
        "../scripts/sample_frames.py"


rule match_decisions:
    input:
        frames=expand("<results>/frames/{shard}/frames.parquet", shard=project.shards),
    output:
        ledger="<results>/frames/decisions.jsonl",
    log:
        "<logs>/match_decisions.log",
    benchmark:
        "<benchmarks>/match_decisions.jsonl"
    params:
        decisions=literal_param(decisions_on_folders(project)),
        code=digest_of_script("match_decisions"),
    script:
        "../scripts/match_decisions.py"


rule find_duplicates:
    input:
        frames=expand("<results>/frames/{shard}/frames.parquet", shard=project.shards),
        labelled=project.of_job(labelled_images),
    output:
        table="<results>/duplicates/duplicates.parquet",
        ledger="<results>/duplicates/ledger.jsonl",
    log:
        "<logs>/find_duplicates.log",
    benchmark:
        "<benchmarks>/find_duplicates.jsonl"
    params:
        settings=lookup(dpath="duplicates", within=config),
        code=digest_of_script("find_duplicates"),
    script:
        "../scripts/find_duplicates.py"
