# Embeddings: a vector of every sampled frame, labelled image, clip, crop and picture of a classifier, and the near-duplicates
# that they show.

from tessera.catalogue import PICTURES
from tessera.core.definitions import code_digest
from tessera.workflow.code import digest_of_script
from tessera.workflow.embeddings import (
    embedded_pictures,
    embedder,
    embedding_checksums,
    embedding_targets,
    embedding_weights,
    labelled_frames,
    require_embeddings,
)
from tessera.workflow.labels import labelled_images
from tessera.workflow.project import any_of, project_of
from tessera.workflow.withdrawal import WITHDRAWN

project = project_of(config)


wildcard_constraints:
    embedding=any_of(config["embeddings"]),


rule embed_frames:
    input:
        frames="<results>/frames/{shard}/frames.parquet",
        pictures="<results>/frames/{shard}/images",
        labelled=project.of_job(labelled_frames, "images.parquet"),
        unsampled=project.of_job(labelled_frames, "unsampled"),
        weights=project.of_job(embedding_weights),
        checksums=project.of_job(embedding_checksums),
    output:
        # The store, the folder `kept`, is not an output, so that it survives killed jobs and changes.
        table="<results>/embeddings/shards/{shard}/{embedding}.parquet",
        ledger="<results>/embeddings/shards/{shard}/{embedding}.jsonl",
    log:
        "<logs>/embed_frames/{embedding}/{shard}.log",
    benchmark:
        "<benchmarks>/embed_frames/{embedding}/{shard}.jsonl"
    threads: 8
    resources:
        gpu=1,
    params:
        settings=project.of_job(embedder),
        embed_code=code_digest("tessera.extras.near_duplicates.embed:embed_pictures"),
        code=digest_of_script("embed_frames"),
    script:
        "../../scripts/embed_frames.py"


rule embed_labels:
    input:
        labelled="<results>/labels/sets/{labels}/images.parquet",
        pictures="<results>/labels/sets/{labels}/pictures",
        weights=project.of_job(embedding_weights),
        checksums=project.of_job(embedding_checksums),
    output:
        table="<results>/embeddings/labels/{labels}/{embedding}.parquet",
        ledger="<results>/embeddings/labels/{labels}/{embedding}.jsonl",
    log:
        "<logs>/embed_labels/{embedding}/{labels}.log",
    benchmark:
        "<benchmarks>/embed_labels/{embedding}/{labels}.jsonl"
    threads: 8
    resources:
        gpu=1,
    params:
        settings=project.of_job(embedder),
        embed_code=code_digest("tessera.extras.near_duplicates.embed:embed_pictures"),
        code=digest_of_script("embed_labels"),
    script:
        "../../scripts/embed_labels.py"


rule embed_clips:
    input:
        clips="<results>/clips/{shard}/clips.parquet",
        pictures="<results>/clips/{shard}/images",
        weights=project.of_job(embedding_weights),
        checksums=project.of_job(embedding_checksums),
    output:
        table="<results>/embeddings/clips/{shard}/{embedding}.parquet",
        ledger="<results>/embeddings/clips/{shard}/{embedding}.jsonl",
    log:
        "<logs>/embed_clips/{embedding}/{shard}.log",
    benchmark:
        "<benchmarks>/embed_clips/{embedding}/{shard}.jsonl"
    threads: 8
    resources:
        gpu=1,
    params:
        settings=project.of_job(embedder),
        samples=lookup(dpath="embeddings/{embedding}/clips", within=config),
        embed_code=code_digest("tessera.extras.near_duplicates.embed:embed_clips"),
        code=digest_of_script("embed_clips"),
    script:
        "../../scripts/embed_clips.py"


rule embed_crops:
    input:
        crops="<results>/crops/{shard}/crops.parquet",
        pictures="<results>/crops/{shard}/images",
        sources="<results>/sources/shards/{shard}/sources.parquet",
        weights=project.of_job(embedding_weights),
        checksums=project.of_job(embedding_checksums),
    output:
        table="<results>/embeddings/crops/{shard}/{embedding}.parquet",
        ledger="<results>/embeddings/crops/{shard}/{embedding}.jsonl",
    log:
        "<logs>/embed_crops/{embedding}/{shard}.log",
    benchmark:
        "<benchmarks>/embed_crops/{embedding}/{shard}.jsonl"
    threads: 8
    resources:
        gpu=1,
    params:
        settings=project.of_job(embedder),
        steps=lookup(dpath="embeddings/{embedding}/crops", within=config),
        embed_code=code_digest("tessera.extras.near_duplicates.embed:embed_crops"),
        code=digest_of_script("embed_crops"),
    script:
        "../../scripts/embed_crops.py"


# Made where a classifier needs it. No rule gates its ledger, because near-duplicates decide the splits, so that all gates are
# before them: the rule itself stops if too many pictures fail.
rule embed_dataset:
    input:
        pictures="<results>/datasets/{dataset}/pictures.parquet",
        images="<results>/datasets/{dataset}/images",
        weights=project.of_job(embedding_weights),
        checksums=project.of_job(embedding_checksums),
    output:
        table="<results>/embeddings/datasets/{dataset}/{embedding}.parquet",
        ledger="<results>/embeddings/datasets/{dataset}/{embedding}.jsonl",
    log:
        "<logs>/embed_dataset/{embedding}/{dataset}.log",
    benchmark:
        "<benchmarks>/embed_dataset/{embedding}/{dataset}.jsonl"
    wildcard_constraints:
        dataset=project.datasets_with_layout(PICTURES),
    threads: 8
    resources:
        gpu=1,
    params:
        settings=project.of_job(embedder),
        max_failed=lookup(dpath="gates/embeddings", within=config),
        embed_code=code_digest("tessera.extras.near_duplicates.embed:embed_dataset"),
        code=digest_of_script("embed_dataset"),
    script:
        "../../scripts/embed_dataset.py"


rule find_near_duplicates:
    input:
        tables=project.of_job(embedded_pictures),
        labelled=project.of_job(labelled_images),
        sources="<results>/sources/admitted.parquet",
        gate="<results>/gates/embeddings.json",
    output:
        table="<results>/near_duplicates/{embedding}/near_duplicates.parquet",
        ledger="<results>/near_duplicates/{embedding}/ledger.jsonl",
    log:
        "<logs>/find_near_duplicates/{embedding}.log",
    benchmark:
        "<benchmarks>/find_near_duplicates/{embedding}.jsonl"
    threads: 8
    params:
        settings=lookup(dpath="embeddings/{embedding}/near_duplicates", within=config),
        code=digest_of_script("find_near_duplicates"),
    script:
        "../../scripts/find_near_duplicates.py"


rule embeddings:
    "vectors of pictures and clips, and their near-duplicates"
    input:
        project.of_job(require_embeddings),
        WITHDRAWN,
        embedding_targets(project),
    localrule: True
