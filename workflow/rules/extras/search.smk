# Searches for better settings of classifiers and detectors. `rule all` makes none of them.

from tessera.catalogue import CLASSIFIER, DETECTOR
from tessera.core.definitions import code_digest
from tessera.workflow.classifiers import (
    initial_weights_of_classifier,
    network_settings,
    search_pages,
    search_settings,
    searches,
    vectors_of_classifier,
)
from tessera.workflow.code import digest_of_script
from tessera.workflow.detectors import initial_weights_of_detector, parts_of_dataset
from tessera.workflow.project import any_of, project_of
from tessera.workflow.withdrawal import WITHDRAWN

project = project_of(config)


wildcard_constraints:
    search=any_of(searches(project)),


rule search_classifier:
    input:
        checksums=project.of_model("<results>/datasets/{dataset}/SHA256SUMS"),
        images=project.of_model("<results>/datasets/{dataset}/images"),
        pictures=project.of_model("<results>/datasets/{dataset}/pictures.parquet"),
        splits=project.of_model("<results>/datasets/{dataset}/splits.parquet"),
        vectors=project.of_job(vectors_of_classifier),
        checked="<results>/training/{model}/dataset.json",
        weights=project.of_job(initial_weights_of_classifier),
    output:
        # The trials lie in <results>/training/{model}/searches/{search}/runs. They are no outputs, so that they survive.
        trials="<results>/search/{model}/{search}/trials.parquet",
        sheet="<results>/search/{model}/{search}/trials.tsv",
        summary="<results>/search/{model}/{search}/search.json",
        best="<results>/search/{model}/{search}/best.yaml",
    log:
        "<logs>/search_classifier/{model}/{search}.log",
    benchmark:
        "<benchmarks>/search_classifier/{model}/{search}.jsonl"
    wildcard_constraints:
        model=project.models_of_kind(CLASSIFIER),
    threads: 8
    resources:
        gpu=1,
        # Minutes. A search that exceeds them continues when it runs again.
        runtime=1440,
    params:
        settings=network_settings(project),
        search=project.of_job(search_settings),
        seed=lookup(dpath="seed", within=config),
        # A part of the identity of a trial, as of any training.
        train_code=code_digest("tessera.extras.classifiers.trainer:fit"),
        code=digest_of_script("search_classifier"),
    script:
        "../../scripts/search_classifier.py"


rule search_detector:
    input:
        description=project.of_model("<results>/datasets/{dataset}/dataset.yaml"),
        parts=project.of_job(parts_of_dataset),
        checked="<results>/training/{model}/dataset.json",
        weights=project.of_job(initial_weights_of_detector),
        splits=project.of_model("<results>/datasets/{dataset}/splits.parquet"),
    output:
        # The trials lie in <results>/training/{model}/searches/{search}/runs. They are no outputs, so that they survive.
        trials="<results>/search/{model}/{search}/trials.parquet",
        sheet="<results>/search/{model}/{search}/trials.tsv",
        summary="<results>/search/{model}/{search}/search.json",
        best="<results>/search/{model}/{search}/best.yaml",
    log:
        "<logs>/search_detector/{model}/{search}.log",
    benchmark:
        "<benchmarks>/search_detector/{model}/{search}.jsonl"
    wildcard_constraints:
        model=project.models_of_kind(DETECTOR),
    threads: 8
    resources:
        gpu=1,
        # Minutes. A search that exceeds them continues when it runs again.
        runtime=1440,
    params:
        architecture=lookup(dpath="models/{model}/architecture", within=config),
        weights=lookup(dpath="models/{model}/weights", within=config),
        training=lookup(dpath="models/{model}/training", within=config),
        search=project.of_job(search_settings),
        seed=lookup(dpath="seed", within=config),
        # A part of the identity of a trial, as of any training.
        train_code=code_digest("tessera.stages.detectors.train:fit"),
        code=digest_of_script("search_detector"),
    script:
        "../../scripts/search_detector.py"


rule show_search:
    input:
        trials="<results>/search/{model}/{search}/trials.parquet",
        summary="<results>/search/{model}/{search}/search.json",
        best="<results>/search/{model}/{search}/best.yaml",
    output:
        page="<results>/search/{model}/{search}/search.html",
    log:
        "<logs>/show_search/{model}/{search}.log",
    benchmark:
        "<benchmarks>/show_search/{model}/{search}.jsonl"
    localrule: True
    params:
        code=digest_of_script("show_search"),
    script:
        "../../scripts/show_search.py"


rule search:
    "better settings of classifiers and detectors, by trials"
    input:
        WITHDRAWN,
        project.of_job(search_pages),
    localrule: True
