# Classifiers of pictures: check the dataset, train, measure, export, compare the export with the trained model, show.

from tessera.catalogue import CLASSIFIER
from tessera.core.definitions import code_digest
from tessera.workflow.classifiers import (
    epochs_of_classifier,
    initial_weights_of_classifier,
    network_settings,
    of_classifier,
    opset,
    vectors_of_classifier,
    weights_for_city,
)
from tessera.workflow.code import digest_of_script
from tessera.workflow.project import project_of

project = project_of(config)


rule check_pictures:
    input:
        checksums=project.of_model("<results>/datasets/{dataset}/SHA256SUMS"),
        images=project.of_model("<results>/datasets/{dataset}/images"),
        vectors=project.of_job(vectors_of_classifier),
    output:
        report="<results>/training/{model}/dataset.json",
    log:
        "<logs>/check_pictures/{model}.log",
    benchmark:
        "<benchmarks>/check_pictures/{model}.jsonl"
    wildcard_constraints:
        model=project.models_of_kind(CLASSIFIER),
    threads: 2
    params:
        settings=of_classifier(project, "labels"),
        code=digest_of_script("check_pictures"),
    script:
        "../../scripts/check_pictures.py"


rule train_classifier:
    input:
        checksums=project.of_model("<results>/datasets/{dataset}/SHA256SUMS"),
        images=project.of_model("<results>/datasets/{dataset}/images"),
        pictures=project.of_model("<results>/datasets/{dataset}/pictures.parquet"),
        splits=project.of_model("<results>/datasets/{dataset}/splits.parquet"),
        vectors=project.of_job(vectors_of_classifier),
        checked="<results>/training/{model}/dataset.json",
        weights=project.of_job(initial_weights_of_classifier),
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
        model=project.models_of_kind(CLASSIFIER),
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
        code=digest_of_script("train_classifier"),
    script:
        "../../scripts/train_classifier.py"


rule evaluate_classifier:
    input:
        checksums=project.of_model("<results>/datasets/{dataset}/SHA256SUMS"),
        images=project.of_model("<results>/datasets/{dataset}/images"),
        pictures=project.of_model("<results>/datasets/{dataset}/pictures.parquet"),
        vectors=project.of_job(vectors_of_classifier),
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
        model=project.models_of_kind(CLASSIFIER),
    threads: 4
    resources:
        gpu=1,
    params:
        settings=of_classifier(project, "labels", "training"),
        seed=lookup(dpath="seed", within=config),
        code=digest_of_script("evaluate_classifier"),
    script:
        "../../scripts/evaluate_classifier.py"


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
        model=project.models_of_kind(CLASSIFIER),
    params:
        opset=project.of_job(opset),
        code=digest_of_script("export_classifier"),
    script:
        "../../scripts/export_classifier.py"


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
        model=project.models_of_kind(CLASSIFIER),
    params:
        code=digest_of_script("export_for_city"),
    script:
        "../../scripts/export_for_city.py"


rule verify_classifier_export:
    input:
        checksums=project.of_model("<results>/datasets/{dataset}/SHA256SUMS"),
        images=project.of_model("<results>/datasets/{dataset}/images"),
        pictures=project.of_model("<results>/datasets/{dataset}/pictures.parquet"),
        vectors=project.of_job(vectors_of_classifier),
        classifier="<results>/training/{model}/best.safetensors",
        safetensors="<results>/exports/{model}/{model}.safetensors",
        onnx="<results>/exports/{model}/{model}.onnx",
        city=project.of_job(weights_for_city),
    output:
        report="<results>/metrics/{model}.export.json",
    log:
        "<logs>/verify_classifier_export/{model}.log",
    benchmark:
        "<benchmarks>/verify_classifier_export/{model}.jsonl"
    wildcard_constraints:
        model=project.models_of_kind(CLASSIFIER),
    threads: 2
    params:
        settings=of_classifier(project, "labels", "tolerance"),
        code=digest_of_script("verify_classifier_export"),
    script:
        "../../scripts/verify_classifier_export.py"
