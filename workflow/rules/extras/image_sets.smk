# Image sets: pictures selected by rules, scaled down and encoded once, and written in the layouts of trainers.

from tessera.catalogue import IMAGE_SETS
from tessera.core.definitions import code_digest
from tessera.extras.image_sets.settings import LayoutSettings
from tessera.workflow.code import digest_of_script
from tessera.workflow.crops import of_cropped_shards
from tessera.workflow.datasets import gates_of
from tessera.workflow.embeddings import tables_of_duplicates
from tessera.workflow.identities import identity_tables
from tessera.workflow.image_sets import (
    fetched_tags,
    layout_settings,
    made_of_set,
    metrics_of_set,
    name_of_set,
    scores_of_set,
    settings_of_set,
    tag_table,
)
from tessera.workflow.labels import rows_of
from tessera.workflow.project import any_of, project_of

project = project_of(config)


rule select_set:
    input:
        frames=expand("<results>/frames/{shard}/frames.parquet", shard=project.shards),
        images=expand("<results>/frames/{shard}/images", shard=project.shards),
        crops=of_cropped_shards(project, "<results>/crops/{shard}/crops.parquet"),
        cut=of_cropped_shards(project, "<results>/crops/{shard}/images"),
        identities=identity_tables(project),
        tags=tag_table(project),
        tag_list=fetched_tags(project),
        scores=project.of_job(scores_of_set),
        metrics=project.of_job(metrics_of_set),
        duplicates=tables_of_duplicates(project),
        sources="<results>/sources/admitted.parquet",
        gates=project.of_job(gates_of),
    output:
        pictures="<results>/selections/{dataset}/pictures.parquet",
        ledger="<results>/selections/{dataset}/ledger.jsonl",
    log:
        "<logs>/select_set/{dataset}.log",
    benchmark:
        "<benchmarks>/select_set/{dataset}.jsonl"
    wildcard_constraints:
        dataset=project.datasets_with_layout(IMAGE_SETS),
    threads: 8
    params:
        uses=project.of_job(name_of_set),
        series=project.of_dataset(lambda dataset: dataset.series),
        settings=project.of_job(settings_of_set, "select"),
        decisions=rows_of(project.decided.frames),
        distance=lookup(dpath="duplicates/distance", within=config),
        seed=lookup(dpath="seed", within=config),
        code=digest_of_script("select_set"),
    script:
        "../../scripts/select_set.py"


rule resize_set:
    input:
        selected="<results>/selections/{dataset}/pictures.parquet",
        pictures=expand("<results>/frames/{shard}/images", shard=project.shards),
        cut=of_cropped_shards(project, "<results>/crops/{shard}/images"),
    output:
        # The store, the folder `kept`, is not an output, so that it survives killed jobs and changes.
        images=directory("<results>/image_sets/{dataset}/images"),
        table="<results>/image_sets/{dataset}/resized.parquet",
    log:
        "<logs>/resize_set/{dataset}.log",
    benchmark:
        "<benchmarks>/resize_set/{dataset}.jsonl"
    wildcard_constraints:
        dataset=project.datasets_with_layout(IMAGE_SETS),
    threads: 8
    params:
        settings=project.of_job(settings_of_set, "pictures"),
        encode_code=code_digest("tessera.extras.image_sets.resize:encode"),
        code=digest_of_script("resize_set"),
    script:
        "../../scripts/resize_set.py"


rule write_set:
    input:
        selected="<results>/selections/{dataset}/pictures.parquet",
        splits="<results>/datasets/{dataset}/splits.parquet",
        resized="<results>/image_sets/{dataset}/resized.parquet",
        images="<results>/image_sets/{dataset}/images",
        captions=project.of_job(made_of_set, "captions"),
        arrangement=project.of_job(made_of_set, "arrangement"),
    output:
        folder=directory("<results>/datasets/{dataset}/{layout}"),
    log:
        "<logs>/write_set/{dataset}/{layout}.log",
    benchmark:
        "<benchmarks>/write_set/{dataset}/{layout}.jsonl"
    wildcard_constraints:
        dataset=project.datasets_with_layout(IMAGE_SETS),
        layout=any_of(LayoutSettings.model_fields),
    params:
        settings=project.of_job(layout_settings),
        seed=lookup(dpath="seed", within=config),
        code=digest_of_script("write_set"),
    script:
        "../../scripts/write_set.py"
