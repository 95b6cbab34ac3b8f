# Scores: apply classifiers, trained here or declared, to the sampled frames, to clips, and to any folder. `snakemake score`

from tessera.core.definitions import code_digest
from tessera.workflow.classifiers import (
    classifier_checksums,
    classifier_use,
    classifier_weights,
    embedder_checksums,
    embedder_weights,
    scored_folder,
    used_classifiers,
    watched_folder,
)
from tessera.workflow.code import digest_of_script
from tessera.workflow.project import any_of, literal_param, project_of
from tessera.workflow.withdrawal import WITHDRAWN

project = project_of(config)


wildcard_constraints:
    classifier=any_of(used_classifiers(project)),


rule score_frames:
    input:
        frames="<results>/frames/{shard}/frames.parquet",
        pictures="<results>/frames/{shard}/images",
        classifier=project.of_job(classifier_weights),
        checksums=project.of_job(classifier_checksums),
        embedder=project.of_job(embedder_weights),
        embedder_checksums=project.of_job(embedder_checksums),
    output:
        # The store, the folder `kept`, is not an output, so that it survives killed jobs and changes.
        scored="<results>/scores/frames/{shard}/{classifier}.parquet",
        ledger="<results>/scores/frames/{shard}/{classifier}.jsonl",
    log:
        "<logs>/score_frames/{classifier}/{shard}.log",
    benchmark:
        "<benchmarks>/score_frames/{classifier}/{shard}.jsonl"
    threads: 8
    resources:
        gpu=1,
    params:
        settings=project.of_job(classifier_use),
        score_code=code_digest("tessera.extras.classifiers.predict:score_frames"),
        code=digest_of_script("score_frames"),
    script:
        "../../scripts/score_frames.py"


rule classify_clips:
    input:
        clips="<results>/clips/{shard}/clips.parquet",
        pictures="<results>/clips/{shard}/images",
        classifier=project.of_job(classifier_weights),
        checksums=project.of_job(classifier_checksums),
        embedder=project.of_job(embedder_weights),
        embedder_checksums=project.of_job(embedder_checksums),
    output:
        scored="<results>/scores/clips/{shard}/{classifier}.parquet",
        ledger="<results>/scores/clips/{shard}/{classifier}.jsonl",
    log:
        "<logs>/classify_clips/{classifier}/{shard}.log",
    benchmark:
        "<benchmarks>/classify_clips/{classifier}/{shard}.jsonl"
    threads: 8
    resources:
        gpu=1,
    params:
        settings=project.of_job(classifier_use),
        samples=lookup(dpath="scores/samples", within=config),
        score_code=code_digest("tessera.extras.classifiers.predict:classify_clips"),
        code=digest_of_script("classify_clips"),
    script:
        "../../scripts/classify_clips.py"


rule score:
    "the predictions of a classifier for the pictures of a folder"
    input:
        # Also here, because Snakemake needs no classifier if there are earlier scores.
        project.of_job(classifier_weights),
        WITHDRAWN,
        "<results>/scores/folder/scores.tsv",
    localrule: True


rule score_folder:
    input:
        classifier=project.of_job(classifier_weights),
        checksums=project.of_job(classifier_checksums),
        embedder=project.of_job(embedder_weights),
        embedder_checksums=project.of_job(embedder_checksums),
        blocklist=lookup(dpath="sources/blocklist", within=config),
    output:
        scored="<results>/scores/folder/scores.parquet",
        ledger="<results>/scores/folder/ledger.jsonl",
    log:
        "<logs>/score_folder.log",
    benchmark:
        "<benchmarks>/score_folder.jsonl"
    threads: 8
    resources:
        gpu=1,
    params:
        settings=project.of_job(classifier_use),
        folder=project.of_job(scored_folder),
        watched=project.of_job(watched_folder),
        blocklist_distance=lookup(dpath="sources/blocklist_distance", within=config),
        code=digest_of_script("score_folder"),
    script:
        "../../scripts/score_folder.py"


rule show_scores:
    input:
        scored="<results>/scores/folder/scores.parquet",
    output:
        table="<results>/scores/folder/scores.tsv",
        brackets=directory("<results>/scores/folder/brackets"),
        sheets=directory("<results>/scores/folder/sheets"),
    log:
        "<logs>/show_scores.log",
    benchmark:
        "<benchmarks>/show_scores.jsonl"
    params:
        settings=literal_param(config["score"]),
        code=digest_of_script("show_scores"),
    script:
        "../../scripts/show_scores.py"
