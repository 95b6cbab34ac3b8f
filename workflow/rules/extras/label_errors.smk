# Errors in the labels of classifiers: each picture is predicted by a classifier that never saw it, and compared with others.

from tessera.core.definitions import code_digest
from tessera.workflow.classifiers import (
    degraded_pictures,
    epochs_of_classifier,
    initial_weights_of_classifier,
    kept_labels,
    label_checks,
    network_settings,
    number_of_folds,
    of_classifier,
    predictions_of_folds,
    require_label_checks,
    vectors_of_classifier,
    vectors_of_errors,
)
from tessera.workflow.code import digest_of_script
from tessera.workflow.project import any_of, project_of
from tessera.workflow.withdrawal import WITHDRAWN

project = project_of(config)


rule divide_into_folds:
    input:
        pictures=project.of_model("<results>/datasets/{dataset}/pictures.parquet"),
    output:
        folds="<results>/training/{model}/folds.parquet",
    log:
        "<logs>/divide_into_folds/{model}.log",
    benchmark:
        "<benchmarks>/divide_into_folds/{model}.jsonl"
    wildcard_constraints:
        model=any_of(label_checks(project)),
    localrule: True
    params:
        settings=of_classifier(project, "labels"),
        folds=project.of_job(number_of_folds),
        seed=lookup(dpath="seed", within=config),
        code=digest_of_script("divide_into_folds"),
    script:
        "../../scripts/divide_into_folds.py"


rule train_fold:
    input:
        checksums=project.of_model("<results>/datasets/{dataset}/SHA256SUMS"),
        images=project.of_model("<results>/datasets/{dataset}/images"),
        pictures=project.of_model("<results>/datasets/{dataset}/pictures.parquet"),
        splits=project.of_model("<results>/datasets/{dataset}/splits.parquet"),
        vectors=project.of_job(vectors_of_classifier),
        checked="<results>/training/{model}/dataset.json",
        folds="<results>/training/{model}/folds.parquet",
        weights=project.of_job(initial_weights_of_classifier),
    output:
        # The folder `runs` beside it is not an output, so that finished and interrupted trainings survive.
        predictions="<results>/training/{model}/folds/{fold}/predictions.parquet",
    log:
        "<logs>/train_fold/{model}/{fold}.log",
    benchmark:
        "<benchmarks>/train_fold/{model}/{fold}.jsonl"
    wildcard_constraints:
        model=any_of(label_checks(project)),
        fold=r"\d+",
    priority: project.of_job(epochs_of_classifier)
    threads: 8
    resources:
        gpu=1,
        # Minutes. A training that exceeds them continues when it runs again.
        runtime=1440,
    params:
        settings=network_settings(project),
        seed=lookup(dpath="seed", within=config),
        # A part of the identity of the training: the definitions that its result depends on.
        train_code=code_digest("tessera.extras.classifiers.trainer:fit"),
        code=digest_of_script("train_fold"),
    script:
        "../../scripts/train_fold.py"


rule join_predictions:
    input:
        pictures=project.of_model("<results>/datasets/{dataset}/pictures.parquet"),
        vectors=project.of_job(vectors_of_classifier),
        tables=project.of_job(predictions_of_folds),
    output:
        predictions="<results>/evaluation/{model}/out_of_fold.parquet",
        metrics="<results>/evaluation/{model}/out_of_fold.json",
    log:
        "<logs>/join_predictions/{model}.log",
    benchmark:
        "<benchmarks>/join_predictions/{model}.jsonl"
    wildcard_constraints:
        model=any_of(label_checks(project)),
    localrule: True
    params:
        settings=of_classifier(project, "labels"),
        seed=lookup(dpath="seed", within=config),
        code=digest_of_script("join_predictions"),
    script:
        "../../scripts/join_predictions.py"


rule find_label_errors:
    input:
        predictions="<results>/evaluation/{model}/out_of_fold.parquet",
        vectors=project.of_job(vectors_of_errors),
        degraded=project.of_job(degraded_pictures),
    output:
        errors="<results>/evaluation/{model}/label_errors.parquet",
        suggestions="<results>/evaluation/{model}/label_errors.tsv",
        ledger="<results>/evaluation/{model}/label_errors.jsonl",
    log:
        "<logs>/find_label_errors/{model}.log",
    benchmark:
        "<benchmarks>/find_label_errors/{model}.jsonl"
    wildcard_constraints:
        model=any_of(label_checks(project)),
    threads: 2
    params:
        kept=project.of_job(kept_labels),
        settings=of_classifier(project, "labels", "label_errors"),
        code=digest_of_script("find_label_errors"),
    script:
        "../../scripts/find_label_errors.py"


rule label_errors:
    "labels of classifiers that may be wrong"
    input:
        project.of_job(require_label_checks),
        WITHDRAWN,
        expand(
            "<results>/reports/models/{model}/label_errors.html",
            model=label_checks(project),
        ),
    localrule: True
