# Classifiers of pictures: check the dataset, train, measure, export, compare the export with the trained model, show.

from tessera.catalogue import CLASSIFIER
from tessera.core.definitions import code_digest
from tessera.learning.weights.resolve import weights_file
from tessera.learning.classification.settings import HEAD


def of_classifier(*parts):
    """Return a function that returns these parts of the settings of a classifier."""

    def given(wildcards):
        settings = config["classifiers"][wildcards.model]
        return {part: settings[part] for part in parts}

    return given


# The settings that a training depends on.
NETWORK = of_classifier(
    "labels",
    "architecture",
    "weights",
    "embedding",
    "hidden",
    "image_size",
    "resize",
    "augmentation",
    "training",
)
LABELS_OF = of_classifier("labels", "training")


def vectors_of_classifier(wildcards):
    """Return the table of the vectors that a head learns from. Other classifiers have none, so that it is an empty list."""
    settings = config["classifiers"][wildcards.model]
    folder = of_model("<results>/embeddings/datasets/{dataset}")(wildcards)
    is_head = settings["architecture"] == HEAD
    return f"{folder}/{settings['embedding']}.parquet" if is_head else []


def weights_for_city(wildcards):
    """Return the exported weights for CityClassifiers, or an empty list if they are not wanted."""
    if not config["classifiers"][wildcards.model]["export"]["city"]:
        return []
    return f"<results>/exports/{wildcards.model}/{wildcards.model}-city.safetensors"


def epochs_of_classifier(wildcards):
    """Return the largest number of epochs of a training."""
    return config["classifiers"][wildcards.model]["training"]["epochs"]


rule check_pictures:
    input:
        checksums=of_model("<results>/datasets/{dataset}/SHA256SUMS"),
        images=of_model("<results>/datasets/{dataset}/images"),
        vectors=vectors_of_classifier,
    output:
        report="<results>/training/{model}/dataset.json",
    log:
        "<logs>/check_pictures/{model}.log",
    benchmark:
        "<benchmarks>/check_pictures/{model}.jsonl"
    wildcard_constraints:
        model=of_kind(CLASSIFIER),
    threads: 2
    params:
        settings=of_classifier("labels"),
        code=code_digest(
            "tessera.extras.classifiers.dataset:check_pictures",
            "tessera.extras.classifiers.settings:ClassifierSettings",
        ),
    script:
        "../scripts/check_pictures.py"


rule train_classifier:
    input:
        checksums=of_model("<results>/datasets/{dataset}/SHA256SUMS"),
        images=of_model("<results>/datasets/{dataset}/images"),
        pictures=of_model("<results>/datasets/{dataset}/pictures.parquet"),
        splits=of_model("<results>/datasets/{dataset}/splits.parquet"),
        vectors=vectors_of_classifier,
        checked="<results>/training/{model}/dataset.json",
        weights=lambda wildcards: weights_file(
            config["classifiers"][wildcards.model]["weights"]
        ),
    output:
        # The folder `runs` beside them keeps finished and interrupted trainings. It is not an output, so that they survive.
        best="<results>/training/{model}/best.safetensors",
        curves="<results>/training/{model}/results.csv",
        record="<results>/training/{model}/training.json",
    log:
        "<logs>/train_classifier/{model}.log",
    benchmark:
        "<benchmarks>/train_classifier/{model}.jsonl"
    wildcard_constraints:
        model=of_kind(CLASSIFIER),
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
            "tessera.extras.classifiers.train:train_classifier",
            "tessera.records.tables.splits:trained_on",
        ),
    script:
        "../scripts/train_classifier.py"


rule evaluate_classifier:
    input:
        checksums=of_model("<results>/datasets/{dataset}/SHA256SUMS"),
        images=of_model("<results>/datasets/{dataset}/images"),
        pictures=of_model("<results>/datasets/{dataset}/pictures.parquet"),
        vectors=vectors_of_classifier,
        classifier="<results>/training/{model}/best.safetensors",
        epochs="<results>/training/{model}/results.csv",
    output:
        metrics="<results>/metrics/{model}.json",
        predictions="<results>/evaluation/{model}/predictions.parquet",
        curves=directory("<results>/training/{model}/curves"),
    log:
        "<logs>/evaluate_classifier/{model}.log",
    benchmark:
        "<benchmarks>/evaluate_classifier/{model}.jsonl"
    wildcard_constraints:
        model=of_kind(CLASSIFIER),
    threads: 4
    resources:
        gpu=1,
    params:
        settings=LABELS_OF,
        seed=lookup(dpath="seed", within=config),
        code=code_digest("tessera.extras.classifiers.evaluate:evaluate_classifier"),
    script:
        "../scripts/evaluate_classifier.py"


rule export_classifier:
    input:
        classifier="<results>/training/{model}/best.safetensors",
    output:
        safetensors="<results>/exports/{model}/{model}.safetensors",
        onnx="<results>/exports/{model}/{model}.onnx",
    log:
        "<logs>/export_classifier/{model}.log",
    benchmark:
        "<benchmarks>/export_classifier/{model}.jsonl"
    wildcard_constraints:
        model=of_kind(CLASSIFIER),
    params:
        opset=lambda wildcards: config["classifiers"][wildcards.model]["export"][
            "opset"
        ],
        code=code_digest("tessera.extras.classifiers.export:export_classifier"),
    script:
        "../scripts/export_classifier.py"


rule export_for_city:
    input:
        classifier="<results>/training/{model}/best.safetensors",
    output:
        safetensors="<results>/exports/{model}/{model}-city.safetensors",
        config="<results>/exports/{model}/{model}-city.config.json",
    log:
        "<logs>/export_for_city/{model}.log",
    benchmark:
        "<benchmarks>/export_for_city/{model}.jsonl"
    wildcard_constraints:
        model=of_kind(CLASSIFIER),
    params:
        code=code_digest("tessera.extras.classifiers.export:export_for_city"),
    script:
        "../scripts/export_for_city.py"


rule verify_classifier_export:
    input:
        checksums=of_model("<results>/datasets/{dataset}/SHA256SUMS"),
        images=of_model("<results>/datasets/{dataset}/images"),
        pictures=of_model("<results>/datasets/{dataset}/pictures.parquet"),
        vectors=vectors_of_classifier,
        classifier="<results>/training/{model}/best.safetensors",
        safetensors="<results>/exports/{model}/{model}.safetensors",
        onnx="<results>/exports/{model}/{model}.onnx",
        city=weights_for_city,
    output:
        report="<results>/metrics/{model}.export.json",
    log:
        "<logs>/verify_classifier_export/{model}.log",
    benchmark:
        "<benchmarks>/verify_classifier_export/{model}.jsonl"
    wildcard_constraints:
        model=of_kind(CLASSIFIER),
    threads: 2
    params:
        settings=of_classifier("labels", "tolerance"),
        code=code_digest("tessera.extras.classifiers.export:verify_classifier_export"),
    script:
        "../scripts/verify_classifier_export.py"


ruleorder: tabulate_results > tabulate_metrics


rule tabulate_results:
    input:
        metrics="<results>/metrics/{model}.json",
        exported="<results>/metrics/{model}.export.json",
    output:
        table=report(
            "<results>/reports/models/{model}/metrics.html",
            caption="../report/results.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "2. Metrics"},
        ),
    log:
        "<logs>/tabulate_results/{model}.log",
    benchmark:
        "<benchmarks>/tabulate_results/{model}.jsonl"
    wildcard_constraints:
        model=of_kind(CLASSIFIER),
    localrule: True
    params:
        code=code_digest("tessera.pages.report.classifiers:tabulate_results"),
    script:
        "../scripts/tabulate_results.py"


rule plot_examples:
    input:
        images=of_model("<results>/datasets/{dataset}/images"),
        predictions="<results>/evaluation/{model}/predictions.parquet",
        weights="<results>/weights/{model}/{model}.safetensors",
        checksums="<results>/weights/{model}/SHA256SUMS",
        splits=of_model("<results>/datasets/{dataset}/splits.parquet"),
        sources="<results>/sources/admitted.parquet",
    output:
        figure=report(
            "<results>/reports/models/{model}/examples.html",
            caption="../report/examples.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "5. Examples"},
        ),
    log:
        "<logs>/plot_examples/{model}.log",
    benchmark:
        "<benchmarks>/plot_examples/{model}.jsonl"
    wildcard_constraints:
        model=of_kind(CLASSIFIER),
    threads: 2
    resources:
        gpu=1,
    params:
        settings=lookup(dpath="report", within=config),
        sets=content_of_sets,
        code=code_digest(
            "tessera.pages.report.classifiers:draw_examples",
            "tessera.learning.classification.classifier:read_classifier",
            "tessera.pages.report.tiles:find_clear",
        ),
    script:
        "../scripts/plot_examples.py"
