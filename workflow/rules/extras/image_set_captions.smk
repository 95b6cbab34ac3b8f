# The captions of image sets.

from tessera.catalogue import IMAGE_SETS
from tessera.workflow.code import digest_of_script
from tessera.workflow.identities import identity_tables
from tessera.workflow.image_sets import (
    fetched_tags,
    files_of_captions,
    name_of_set,
    needed_by_files,
    settings_of_set,
    tag_table,
    texts_of_set,
)
from tessera.workflow.project import project_of

project = project_of(config)


rule caption_set:
    input:
        selected="<results>/selections/{dataset}/pictures.parquet",
        tags=tag_table(project),
        tag_list=fetched_tags(project),
        identities=identity_tables(project),
        texts=project.of_job(texts_of_set),
        frames=project.of_job(
            needed_by_files,
            *expand("<results>/frames/{shard}/frames.parquet", shard=project.shards),
        ),
        sources=project.of_job(needed_by_files, "<results>/sources/admitted.parquet"),
    output:
        captions="<results>/image_sets/{dataset}/captions.parquet",
        core="<results>/image_sets/{dataset}/core_tags.parquet",
        wildcards="<results>/image_sets/{dataset}/wildcards.txt",
        ledger="<results>/image_sets/{dataset}/captions.jsonl",
    log:
        "<logs>/caption_set/{dataset}.log",
    benchmark:
        "<benchmarks>/caption_set/{dataset}.jsonl"
    wildcard_constraints:
        dataset=project.datasets_with_layout(IMAGE_SETS),
    threads: 2
    params:
        image_set=project.of_job(name_of_set),
        settings=project.of_job(settings_of_set, "captions"),
        files=project.of_job(files_of_captions),
        seed=lookup(dpath="seed", within=config),
        code=digest_of_script("caption_set"),
    script:
        "../../scripts/caption_set.py"
