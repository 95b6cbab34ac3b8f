# Identities: who or what the crops show, by reference pictures, clusters of vectors, and decisions of people.

from tessera.core.definitions import code_digest
from tessera.workflow.code import digest_of_script
from tessera.workflow.embeddings import embedder, embedding_checksums, embedding_weights
from tessera.workflow.identities import (
    folder_of_references,
    identity_settings,
    identity_targets,
    references,
    require_identities,
    vectors_of_crops,
    watched_references,
)
from tessera.workflow.project import literal_param, project_of
from tessera.workflow.withdrawal import WITHDRAWN

project = project_of(config)


rule embed_references:
    input:
        weights=project.of_job(embedding_weights),
        checksums=project.of_job(embedding_checksums),
        blocklist=lookup(dpath="sources/blocklist", within=config),
    output:
        table="<results>/embeddings/references/{embedding}.parquet",
        ledger="<results>/embeddings/references/{embedding}.jsonl",
    log:
        "<logs>/embed_references/{embedding}.log",
    benchmark:
        "<benchmarks>/embed_references/{embedding}.jsonl"
    threads: 8
    resources:
        gpu=1,
    params:
        folder=project.of_job(folder_of_references),
        watched=project.of_job(watched_references),
        blocklist_distance=lookup(dpath="sources/blocklist_distance", within=config),
        settings=project.of_job(embedder),
        embed_code=code_digest("tessera.extras.near_duplicates.embed:embed_references"),
        code=digest_of_script("embed_references"),
    script:
        "../../scripts/embed_references.py"


rule identify_crops:
    input:
        crops=expand("<results>/crops/{shard}/crops.parquet", shard=project.shards),
        vectors=vectors_of_crops(project),
        references=references(project, ".parquet"),
        sources="<results>/sources/admitted.parquet",
    output:
        table="<results>/identities/found.parquet",
        ledger="<results>/identities/ledger.jsonl",
    log:
        "<logs>/identify_crops.log",
    benchmark:
        "<benchmarks>/identify_crops.jsonl"
    threads: 8
    params:
        settings=literal_param(identity_settings(project)),
        code=digest_of_script("identify_crops"),
    script:
        "../../scripts/identify_crops.py"


# A decision clusters nothing again.
rule decide_identities:
    input:
        found="<results>/identities/found.parquet",
        crops=rules.identify_crops.input.crops,
        gate="<results>/gates/identities.json",
    output:
        table="<results>/identities/identities.parquet",
        ledger="<results>/identities/decisions.jsonl",
    log:
        "<logs>/decide_identities.log",
    benchmark:
        "<benchmarks>/decide_identities.jsonl"
    localrule: True
    params:
        decisions=literal_param(
            [each.model_dump() for each in project.decisions.identities]
        ),
        code=digest_of_script("decide_identities"),
    script:
        "../../scripts/decide_identities.py"


rule identities:
    "who or what the crops show"
    input:
        project.of_job(require_identities),
        WITHDRAWN,
        identity_targets(project),
    localrule: True
