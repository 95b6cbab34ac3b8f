# Sources: examine each shard on its own, so that a new source reruns no other shard.

from tessera.workflow.code import digest_of_script
from tessera.workflow.project import project_of, unwatched_param
from tessera.workflow.restore import unrestored
from tessera.workflow.sources import compared_files, gathered_sources, shard_rows
from tessera.workflow.withdrawal import (
    current_shards,
    folders_of_shards,
    known_sources,
    refused_results,
    results_of_datasets,
    switched_off,
)

project = project_of(config)


rule admit_sources:
    input:
        files=project.of_job(compared_files),
        blocklist=lookup(dpath="sources/blocklist", within=config),
    output:
        table="<results>/sources/shards/{shard}/sources.parquet",
        files="<results>/sources/shards/{shard}/files.parquet",
        report="<results>/sources/shards/{shard}/report.json",
        ledger="<results>/sources/shards/{shard}/ledger.jsonl",
    log:
        "<logs>/admit_sources/{shard}.log",
    benchmark:
        "<benchmarks>/admit_sources/{shard}.jsonl"
    params:
        rows=project.of_job(shard_rows),
        settings=lookup(dpath="sources", within=config),
        code=digest_of_script("admit_sources"),
    script:
        "../scripts/admit_sources.py"


rule gather_sources:
    input:
        ledgers=expand(
            "<results>/sources/shards/{shard}/ledger.jsonl", shard=project.shards
        ),
    output:
        ledger="<results>/sources/ledger.jsonl",
        refused="<results>/sources/refused.tsv",
    log:
        "<logs>/gather_sources.log",
    benchmark:
        "<benchmarks>/gather_sources.jsonl"
    localrule: True
    params:
        order=project.of_job(gathered_sources),
        unrestored=unwatched_param(unrestored(project)),
        code=digest_of_script("gather_sources"),
    script:
        "../scripts/gather_sources.py"


rule gate_sources:
    input:
        tables=expand(
            "<results>/sources/shards/{shard}/sources.parquet", shard=project.shards
        ),
        ledger="<results>/sources/ledger.jsonl",
    output:
        admitted="<results>/sources/admitted.parquet",
        summary="<results>/gates/sources.json",
    log:
        "<logs>/gate_sources.log",
    benchmark:
        "<benchmarks>/gate_sources.jsonl"
    localrule: True
    params:
        max_failed=lookup(dpath="gates/sources", within=config),
        code=digest_of_script("gate_sources"),
    script:
        "../scripts/gate_sources.py"


rule remove_withdrawn:
    output:
        withdrawn="<results>/sources/withdrawn.tsv",
    log:
        "<logs>/remove_withdrawn.log",
    benchmark:
        "<benchmarks>/remove_withdrawn.jsonl"
    localrule: True
    params:
        shards=project.of_job(current_shards),
        folders=project.of_job(folders_of_shards, workflow),
        trainings=f"{project.results}/training",
        sources=project.of_job(known_sources),
        switched_off=project.of_job(switched_off, workflow),
        made=project.of_job(results_of_datasets, workflow),
        refused=project.of_job(refused_results, workflow),
        embeddings=list(config["embeddings"]),
        embedding_folders=[
            f"{project.results}/near_duplicates",
            f"{project.results}/reports/near_duplicates",
        ],
        code=digest_of_script("remove_withdrawn"),
    script:
        "../scripts/remove_withdrawn.py"
