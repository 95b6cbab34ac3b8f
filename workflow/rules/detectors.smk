# Detectors: check the dataset, train, measure, export, compare the export with the trained model, and write the card.

from tessera.catalogue import DETECTOR
from tessera.core.definitions import code_digest
from tessera.workflow.code import digest_of_script
from tessera.workflow.detectors import (
    compared_detector_files,
    compared_detectors,
    compared_with,
    epochs_of_detector,
    inference_size,
    initial_weights_of_detector,
    known_free,
    parts_of_dataset,
    preview_evaluation,
    preview_target,
    empty_hint_of_dataset,
    weights_for_lada,
)
from tessera.workflow.models import exported_files, forbidden_uses, purpose
from tessera.workflow.project import any_of, project_of

project = project_of(config)


rule check_dataset:
    input:
        checksums=project.of_model("<results>/datasets/{dataset}/SHA256SUMS"),
        parts=project.of_job(parts_of_dataset),
    output:
        report="<results>/training/{model}/dataset.json",
    log:
        "<logs>/check_dataset/{model}.log",
    benchmark:
        "<benchmarks>/check_dataset/{model}.jsonl"
    wildcard_constraints:
        model=project.models_of_kind(DETECTOR),
    threads: 4
    params:
        architecture=lookup(dpath="models/{model}/architecture", within=config),
        remedy=project.of_job(empty_hint_of_dataset),
        code=digest_of_script("check_dataset"),
    script:
        "../scripts/check_dataset.py"


rule train_detector:
    input:
        description=project.of_model("<results>/datasets/{dataset}/dataset.yaml"),
        parts=project.of_job(parts_of_dataset),
        checked="<results>/training/{model}/dataset.json",
        weights=project.of_job(initial_weights_of_detector),
        splits=project.of_model("<results>/datasets/{dataset}/splits.parquet"),
    output:
        # The folder `runs` beside them keeps finished and interrupted trainings. It is not an output, so that they survive.
        weights="<results>/training/{model}/best.pt",
        curves="<results>/training/{model}/results.csv",
        record="<results>/training/{model}/training.json",
    log:
        "<logs>/train_detector/{model}.log",
    benchmark:
        "<benchmarks>/train_detector/{model}.jsonl"
    wildcard_constraints:
        model=project.models_of_kind(DETECTOR),
    priority: project.of_job(epochs_of_detector)
    threads: 8
    resources:
        gpu=1,
        # Minutes. A training that exceeds them continues when it runs again.
        runtime=1440,
    params:
        architecture=lookup(dpath="models/{model}/architecture", within=config),
        weights=lookup(dpath="models/{model}/weights", within=config),
        training=lookup(dpath="models/{model}/training", within=config),
        seed=lookup(dpath="seed", within=config),
        # A part of the identity of the training: the definitions that its result depends on.
        train_code=code_digest("tessera.stages.detectors.train:fit"),
        code=digest_of_script("train_detector"),
    script:
        "../scripts/train_detector.py"


rule evaluate_detector:
    input:
        description=project.of_model("<results>/datasets/{dataset}/dataset.yaml"),
        parts=project.of_job(parts_of_dataset),
        checked="<results>/training/{model}/dataset.json",
        weights="<results>/training/{model}/best.pt",
        curves="<results>/training/{model}/results.csv",
        splits=project.of_model("<results>/datasets/{dataset}/splits.parquet"),
    output:
        metrics="<results>/metrics/{model}.json",
        curves=directory("<results>/training/{model}/curves"),
        objects="<results>/evaluation/{model}/objects.parquet",
        detections="<results>/evaluation/{model}/detections.parquet",
    log:
        "<logs>/evaluate_detector/{model}.log",
    benchmark:
        "<benchmarks>/evaluate_detector/{model}.jsonl"
    wildcard_constraints:
        model=project.models_of_kind(DETECTOR),
    threads: 4
    resources:
        gpu=1,
    params:
        architecture=lookup(dpath="models/{model}/architecture", within=config),
        training=lookup(dpath="models/{model}/training", within=config),
        seed=lookup(dpath="seed", within=config),
        code=digest_of_script("evaluate_detector"),
    script:
        "../scripts/evaluate_detector.py"


# What sources are free of is a parameter and stands in no table, because no sample depends on it.
rule evaluate_on_videos:
    input:
        sources="<results>/sources/admitted.parquet",
        splits=project.of_model("<results>/datasets/{dataset}/splits.parquet"),
        weights="<results>/weights/{model}/{model}.pt",
        checksums="<results>/weights/{model}/SHA256SUMS",
        measured=project.of_job(preview_evaluation),
    output:
        # The folder `kept` beside them stores the detections of each video. It is not an output, so that it survives changes.
        videos="<results>/evaluation/{model}/videos.parquet",
        ledger="<results>/evaluation/{model}/videos.jsonl",
    log:
        "<logs>/evaluate_on_videos/{model}.log",
    benchmark:
        "<benchmarks>/evaluate_on_videos/{model}.jsonl"
    wildcard_constraints:
        model=project.models_of_kind(DETECTOR),
    threads: 4
    resources:
        gpu=1,
    params:
        free=project.of_job(known_free),
        preview={"confidence": config["preview"]["confidence"]},
        targets=project.of_job(preview_target),
        image_size=project.of_job(inference_size),
        settings=lookup(dpath="video_metrics", within=config),
        track=lookup(dpath="scenes/track", within=config),
        video_code=code_digest(
            "tessera.records.video_detections:detect_video",
            "tessera.stages.detectors.watch:choose_frames",
            "tessera.learning.detection.detector:Detector",
        ),
        code=digest_of_script("evaluate_on_videos"),
    script:
        "../scripts/evaluate_on_videos.py"


# Beside `evaluate_detector`, because what is compared must not publish the model again.
rule compare_detectors:
    input:
        description=project.of_model("<results>/datasets/{dataset}/dataset.yaml"),
        parts=project.of_job(parts_of_dataset),
        checked="<results>/training/{model}/dataset.json",
        splits=project.of_model("<results>/datasets/{dataset}/splits.parquet"),
        weights="<results>/training/{model}/best.pt",
        compared=project.of_job(compared_detector_files),
    output:
        report="<results>/metrics/{model}.comparison.json",
        objects="<results>/comparisons/{model}/objects.parquet",
        detections="<results>/comparisons/{model}/detections.parquet",
        # Milliseconds, which differ from run to run.
        speed="<results>/comparisons/{model}/speed.json",
    log:
        "<logs>/compare_detectors/{model}.log",
    benchmark:
        "<benchmarks>/compare_detectors/{model}.jsonl"
    wildcard_constraints:
        model=any_of(compared_detectors(project)),
    threads: 4
    resources:
        gpu=1,
    params:
        architecture=lookup(dpath="models/{model}/architecture", within=config),
        training=lookup(dpath="models/{model}/training", within=config),
        compared=project.of_job(compared_with),
        seed=lookup(dpath="seed", within=config),
        code=digest_of_script("compare_detectors"),
    script:
        "../scripts/compare_detectors.py"


rule export_detector:
    input:
        weights="<results>/training/{model}/best.pt",
    output:
        checkpoint="<results>/exports/{model}/{model}.pt",
        onnx="<results>/exports/{model}/{model}.onnx",
    log:
        "<logs>/export_detector/{model}.log",
    benchmark:
        "<benchmarks>/export_detector/{model}.jsonl"
    wildcard_constraints:
        model=project.models_of_kind(DETECTOR),
    params:
        settings=lookup(dpath="models/{model}/export", within=config),
        code=digest_of_script("export_detector"),
    script:
        "../scripts/export_detector.py"


rule export_for_lada:
    input:
        weights="<results>/training/{model}/best.pt",
    output:
        checkpoint="<results>/exports/{model}/lada_{model}_model_tessera.pt",
    log:
        "<logs>/export_for_lada/{model}.log",
    benchmark:
        "<benchmarks>/export_for_lada/{model}.jsonl"
    wildcard_constraints:
        model=project.models_of_kind(DETECTOR),
    params:
        code=digest_of_script("export_for_lada"),
    script:
        "../scripts/export_for_lada.py"


rule verify_export:
    input:
        description=project.of_model("<results>/datasets/{dataset}/dataset.yaml"),
        parts=project.of_job(parts_of_dataset),
        checkpoint="<results>/exports/{model}/{model}.pt",
        onnx="<results>/exports/{model}/{model}.onnx",
        lada=project.of_job(weights_for_lada),
    output:
        report="<results>/metrics/{model}.export.json",
    log:
        "<logs>/verify_export/{model}.log",
    benchmark:
        "<benchmarks>/verify_export/{model}.jsonl"
    wildcard_constraints:
        model=project.models_of_kind(DETECTOR),
    threads: 4
    params:
        export=lookup(dpath="models/{model}/export", within=config),
        tolerance=lookup(dpath="models/{model}/tolerance", within=config),
        code=digest_of_script("verify_export"),
    script:
        "../scripts/verify_export.py"


rule write_model_card:
    input:
        checksums=project.of_model("<results>/datasets/{dataset}/SHA256SUMS"),
        datasheet=project.of_model("<results>/datasets/{dataset}/datasheet.json"),
        metrics="<results>/metrics/{model}.json",
        export="<results>/metrics/{model}.export.json",
        files=project.of_job(exported_files),
        record="<results>/training/{model}/training.json",
    output:
        data="<results>/exports/{model}/card.json",
        text="<results>/exports/{model}/card.md",
    log:
        "<logs>/write_model_card/{model}.log",
    benchmark:
        "<benchmarks>/write_model_card/{model}.jsonl"
    wildcard_constraints:
        model=project.models_described_by("write_model_card"),
    localrule: True
    params:
        settings=lookup(dpath="models/{model}", within=config),
        purpose=project.of_job(purpose),
        not_for=project.of_job(forbidden_uses),
        code=digest_of_script("write_model_card"),
    script:
        "../scripts/write_model_card.py"
