# Active learning: ask people for the labels from which a classifier learns most. `snakemake ask`

from tessera.workflow.active_learning import (
    compared_vectors,
    folder_of_answers,
    free_of_hard_negatives,
    labels_to_ask_with,
    number_of_rounds,
    of_trained,
    regions_to_ask_with,
    require_answers,
    round_to_ask,
)
from tessera.workflow.classifiers import labels_of_dataset
from tessera.workflow.code import digest_of_script
from tessera.workflow.embeddings import tables_of_duplicates
from tessera.workflow.labels import rows_of
from tessera.workflow.project import any_of, project_of, require_sources
from tessera.workflow.withdrawal import WITHDRAWN

project = project_of(config)


localrules:
    ask,


rule ask:
    "pictures whose labels a classifier learns most from"
    input:
        project.of_job(require_sources),
        WITHDRAWN,
        project.of_job(round_to_ask),


rule ask_round:
    input:
        project.of_job(require_answers),
        frames=expand("<results>/frames/{shard}/frames.parquet", shard=project.shards),
        pictures=expand("<results>/frames/{shard}/images", shard=project.shards),
        sources="<results>/sources/admitted.parquet",
        splits="<results>/datasets/splits.parquet",
        gate="<results>/gates/frames.json",
        duplicates=tables_of_duplicates(project),
        labels=project.of_job(labels_to_ask_with),
        regions=project.of_job(regions_to_ask_with),
        scores=project.of_job(
            of_trained, "<results>/scores/frames/{shard}/{dataset}.parquet"
        ),
        vectors=compared_vectors(project),
        metrics=project.of_job(of_trained, "<results>/metrics/{dataset}.json"),
        dataset=project.of_job(
            of_trained, "<results>/datasets/{dataset}/pictures.parquet"
        ),
    output:
        # The pictures are not outputs, because they belong to the person who labels them.
        ledger="<results>/asked/{dataset}.jsonl",
    log:
        "<logs>/ask_round/{dataset}.log",
    benchmark:
        "<benchmarks>/ask_round/{dataset}.jsonl"
    wildcard_constraints:
        dataset=any_of(filter(None, [config["ask"]["model"]])),
    params:
        answers=project.of_job(folder_of_answers),
        asked=project.of_job(number_of_rounds),
        settings=lookup(dpath="ask", within=config),
        classes=project.of_job(labels_of_dataset),
        decisions=rows_of(project.decided.frames),
        distance=lookup(dpath="duplicates/distance", within=config),
        free=project.of_job(free_of_hard_negatives),
        seed=lookup(dpath="seed", within=config),
        code=digest_of_script("ask_round"),
    script:
        "../../scripts/ask_round.py"
