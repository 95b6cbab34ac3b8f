# Errors in the labels of classifiers: each picture is predicted by a classifier that never saw it, and compared with others.

from tessera.core.definitions import code_digest
from tessera.learning.weights.resolve import weights_file

# How labels are checked, by the classifier that they belong to.
CHECKED = {
    name: classifier["label_errors"]
    for name, classifier in config["classifiers"].items()
    if classifier["label_errors"] and name in MODELS
}


def check_of(setting):
    """Return a function that returns a setting of how the labels of a classifier are checked."""

    def given(wildcards):
        return CHECKED[wildcards.model][setting]

    return given


rule divide_into_folds:
    input:
        pictures=of_model("<results>/datasets/{dataset}/pictures.parquet"),
    output:
        folds="<results>/training/{model}/folds.parquet",
    log:
        "<logs>/divide_into_folds/{model}.log",
    benchmark:
        "<benchmarks>/divide_into_folds/{model}.jsonl"
    wildcard_constraints:
        model=any_of(CHECKED),
    localrule: True
    params:
        settings=of_classifier("labels"),
        folds=check_of("folds"),
        seed=lookup(dpath="seed", within=config),
        code=code_digest(
            "tessera.extras.classifiers.folds:divide_into_folds",
            "tessera.extras.classifiers.settings:ClassifierSettings",
        ),
    script:
        "../scripts/divide_into_folds.py"


rule train_fold:
    input:
        checksums=of_model("<results>/datasets/{dataset}/SHA256SUMS"),
        images=of_model("<results>/datasets/{dataset}/images"),
        pictures=of_model("<results>/datasets/{dataset}/pictures.parquet"),
        splits=of_model("<results>/datasets/{dataset}/splits.parquet"),
        vectors=vectors_of_classifier,
        checked="<results>/training/{model}/dataset.json",
        folds="<results>/training/{model}/folds.parquet",
        weights=lambda wildcards: weights_file(
            config["classifiers"][wildcards.model]["weights"]
        ),
    output:
        # The folder `runs` beside it is not an output, so that finished and interrupted trainings survive.
        predictions="<results>/training/{model}/folds/{fold}/predictions.parquet",
    log:
        "<logs>/train_fold/{model}/{fold}.log",
    benchmark:
        "<benchmarks>/train_fold/{model}/{fold}.jsonl"
    wildcard_constraints:
        model=any_of(CHECKED),
        fold=r"\d+",
    priority: epochs_of_classifier
    threads: 8
    resources:
        gpu=1,
        # Minutes. A training that exceeds them continues when it runs again.
        runtime=1440,
    params:
        settings=NETWORK,
        seed=lookup(dpath="seed", within=config),
        # A part of the identity of the training: the definitions that its result depends on.
        trained_by=code_digest("tessera.extras.classifiers.trainer:fit"),
        code=code_digest(
            "tessera.extras.classifiers.train:train_fold",
            "tessera.records.tables.splits:sources_of",
        ),
    script:
        "../scripts/train_fold.py"


rule join_predictions:
    input:
        pictures=of_model("<results>/datasets/{dataset}/pictures.parquet"),
        vectors=vectors_of_classifier,
        tables=lambda wildcards: expand(
            "<results>/training/{model}/folds/{fold}/predictions.parquet",
            model=wildcards.model,
            fold=range(CHECKED[wildcards.model]["folds"]),
        ),
    output:
        predictions="<results>/evaluation/{model}/out_of_fold.parquet",
        metrics="<results>/evaluation/{model}/out_of_fold.json",
    log:
        "<logs>/join_predictions/{model}.log",
    benchmark:
        "<benchmarks>/join_predictions/{model}.jsonl"
    wildcard_constraints:
        model=any_of(CHECKED),
    localrule: True
    params:
        settings=of_classifier("labels"),
        seed=lookup(dpath="seed", within=config),
        code=code_digest(
            "tessera.extras.classifiers.folds:join_predictions",
            "tessera.extras.classifiers.evaluate:evaluate_folds",
            "tessera.extras.classifiers.settings:ClassifierSettings",
        ),
    script:
        "../scripts/join_predictions.py"


def vectors_of_errors(wildcards):
    """Return the vectors of the pictures of a classifier, or an empty list if its labels are checked without."""
    embedding = CHECKED[wildcards.model]["embedding"]
    dataset = MODELS[wildcards.model].dataset
    return (
        f"<results>/embeddings/datasets/{dataset}/{embedding}.parquet"
        if embedding
        else []
    )


def degraded_pictures(wildcards):
    """Return the tables of the degraded frames that feed a classifier."""
    return expand(
        "<results>/concepts/{shard}/{concept}/labels.parquet",
        shard=SHARDS,
        concept=[wildcards.model] if wildcards.model in CONCEPTS else [],
    )


rule find_label_errors:
    input:
        predictions="<results>/evaluation/{model}/out_of_fold.parquet",
        vectors=vectors_of_errors,
        degraded=degraded_pictures,
    output:
        errors="<results>/evaluation/{model}/label_errors.parquet",
        suggestions="<results>/evaluation/{model}/label_errors.tsv",
        ledger="<results>/evaluation/{model}/label_errors.jsonl",
    log:
        "<logs>/find_label_errors/{model}.log",
    benchmark:
        "<benchmarks>/find_label_errors/{model}.jsonl"
    wildcard_constraints:
        model=any_of(CHECKED),
    threads: 2
    params:
        kept=lambda wildcards: decisions_on_pictures(wildcards.model, "keep"),
        settings=of_classifier("labels", "label_errors"),
        code=code_digest(
            "tessera.extras.classifiers.label_errors:find_label_errors",
            "tessera.extras.classifiers.settings:ClassifierSettings",
        ),
    script:
        "../scripts/find_label_errors.py"


rule show_label_errors:
    input:
        errors="<results>/evaluation/{model}/label_errors.parquet",
        metrics="<results>/evaluation/{model}/out_of_fold.json",
        pictures=of_model("<results>/datasets/{dataset}/pictures.parquet"),
        images=of_model("<results>/datasets/{dataset}/images"),
        sources="<results>/sources/admitted.parquet",
    output:
        page=report(
            "<results>/reports/models/{model}/label_errors.html",
            caption="../report/label_errors.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "6. Label errors"},
        ),
    log:
        "<logs>/show_label_errors/{model}.log",
    benchmark:
        "<benchmarks>/show_label_errors/{model}.jsonl"
    wildcard_constraints:
        model=any_of(CHECKED),
    localrule: True
    params:
        settings=lookup(dpath="report", within=config),
        sets=content_of_sets,
        code=code_digest("tessera.pages.report.label_errors:show_label_errors"),
    script:
        "../scripts/show_label_errors.py"


def checked_classifiers(wildcards):
    """Return no files. Raises `TesseraError` if no labels are checked."""
    if not CHECKED:
        raise TesseraError(
            "no labels are checked: set `classifiers.NAME.label_errors`, such as to {}"
        )
    return []


rule label_errors:
    input:
        checked_classifiers,
        WITHDRAWN,
        expand("<results>/reports/models/{model}/label_errors.html", model=CHECKED),
    localrule: True
