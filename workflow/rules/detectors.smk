# Detectors: check the dataset, train, measure, export, compare the export with the trained model, and write the card.

from tessera.catalogue import DETECTOR
from tessera.core.definitions import code_digest
from tessera.learning.weights.resolve import weights_file


def parts_of_dataset(wildcards):
    """Return the folders that a trainer reads."""
    return expand(
        "<results>/datasets/{dataset}/{part}",
        dataset=MODELS[wildcards.model].dataset,
        part=["images", "labels"],
    )


def declared_weights_of(wildcards):
    """Return the file of the initial weights of a model, or an empty list."""
    return weights_file(config["models"][wildcards.model]["weights"])


def weights_for_lada(wildcards):
    """Return the weights of a model for Lada's application, or an empty list if they are not wanted."""
    is_wanted = config["models"][wildcards.model]["export"]["lada"]
    return rules.export_for_lada.output.checkpoint if is_wanted else []


def inference_size(wildcards):
    """Return the size in pixels that images are scaled to for a model."""
    settings = config["models"][wildcards.model]
    return settings["export"]["image_size"] or settings["training"]["imgsz"]


def known_free(wildcards):
    """Return the ids of the sources that are known to show nothing that a model finds."""
    finds = MODELS[wildcards.model].finds
    return [source.source for source in SOURCES if finds in source.free_of]


rule check_dataset:
    input:
        checksums=of_model("<results>/datasets/{dataset}/SHA256SUMS"),
        parts=parts_of_dataset,
    output:
        report="<results>/training/{model}/dataset.json",
    log:
        "<logs>/check_dataset/{model}.log",
    benchmark:
        "<benchmarks>/check_dataset/{model}.jsonl"
    wildcard_constraints:
        model=of_kind(DETECTOR),
    threads: 4
    params:
        architecture=lookup(dpath="models/{model}/architecture", within=config),
        remedy=lambda wildcards: DATASETS[MODELS[wildcards.model].dataset].remedy,
        code=code_digest(
            "tessera.stages.detectors.dataset:check_dataset",
            "tessera.stages.detectors.library:task_of",
        ),
    script:
        "../scripts/check_dataset.py"


def epochs_of(wildcards):
    """Return the number of epochs of a training."""
    return config["models"][wildcards.model]["training"]["epochs"]


rule train_detector:
    input:
        description=of_model("<results>/datasets/{dataset}/dataset.yaml"),
        parts=parts_of_dataset,
        checked="<results>/training/{model}/dataset.json",
        weights=declared_weights_of,
        splits=of_model("<results>/datasets/{dataset}/splits.parquet"),
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
        model=of_kind(DETECTOR),
    priority: epochs_of
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
        trained_by=code_digest("tessera.stages.detectors.train:fit"),
        code=code_digest(
            "tessera.stages.detectors.train:train_detector",
            "tessera.records.tables.splits:trained_on",
        ),
    script:
        "../scripts/train_detector.py"


rule evaluate_detector:
    input:
        description=of_model("<results>/datasets/{dataset}/dataset.yaml"),
        parts=parts_of_dataset,
        checked="<results>/training/{model}/dataset.json",
        weights="<results>/training/{model}/best.pt",
        curves="<results>/training/{model}/results.csv",
        splits=of_model("<results>/datasets/{dataset}/splits.parquet"),
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
        model=of_kind(DETECTOR),
    threads: 4
    resources:
        gpu=1,
    params:
        architecture=lookup(dpath="models/{model}/architecture", within=config),
        training=lookup(dpath="models/{model}/training", within=config),
        seed=lookup(dpath="seed", within=config),
        code=code_digest("tessera.stages.detectors.evaluate:evaluate_detector"),
    script:
        "../scripts/evaluate_detector.py"


def preview_target(wildcards):
    """Return the target of `preview.confidence` for a model, if it is one, in a list."""
    return targets_in(config, "preview.confidence", previewed=wildcards.model)


def preview_evaluation(wildcards):
    """Return the tables that the target of `preview.confidence` is measured by."""
    return evaluations(preview_target(wildcards))


# What sources are free of is a parameter and stands in no table, because no sample depends on it.
rule watch_videos:
    input:
        sources="<results>/sources/admitted.parquet",
        splits=of_model("<results>/datasets/{dataset}/splits.parquet"),
        weights="<results>/weights/{model}/{model}.pt",
        checksums="<results>/weights/{model}/SHA256SUMS",
        measured=preview_evaluation,
    output:
        # The folder `kept` beside them stores the detections of each video. It is not an output, so that it survives changes.
        videos="<results>/evaluation/{model}/videos.parquet",
        ledger="<results>/evaluation/{model}/videos.jsonl",
    log:
        "<logs>/watch_videos/{model}.log",
    benchmark:
        "<benchmarks>/watch_videos/{model}.jsonl"
    wildcard_constraints:
        model=of_kind(DETECTOR),
    threads: 4
    resources:
        gpu=1,
    params:
        free=known_free,
        preview={"confidence": config["preview"]["confidence"]},
        targets=preview_target,
        image_size=inference_size,
        settings=lookup(dpath="video_metrics", within=config),
        track=lookup(dpath="scenes/track", within=config),
        watched_by=code_digest(
            "tessera.records.video_detections:detect_video",
            "tessera.stages.detectors.watch:choose_frames",
            "tessera.learning.detection.detector:Detector",
        ),
        code=code_digest(
            "tessera.stages.detectors.watch:watch_videos",
            "tessera.records.confidence:with_confidences",
        ),
    script:
        "../scripts/watch_videos.py"


COMPARED = {
    name: compared
    for name, compared in config["comparisons"].items()
    if compared and name in MODELS and MODELS[name].kind is DETECTOR
}


# Beside `evaluate_detector`, because what is compared must not publish the model again.
rule compare_detectors:
    input:
        description=of_model("<results>/datasets/{dataset}/dataset.yaml"),
        parts=parts_of_dataset,
        checked="<results>/training/{model}/dataset.json",
        splits=of_model("<results>/datasets/{dataset}/splits.parquet"),
        weights="<results>/training/{model}/best.pt",
        compared=lambda wildcards: [
            weights_file(each) for each in COMPARED[wildcards.model]
        ],
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
        model=any_of(COMPARED),
    threads: 4
    resources:
        gpu=1,
    params:
        architecture=lookup(dpath="models/{model}/architecture", within=config),
        training=lookup(dpath="models/{model}/training", within=config),
        compared=lambda wildcards: COMPARED[wildcards.model],
        seed=lookup(dpath="seed", within=config),
        code=code_digest(
            "tessera.stages.detectors.compare:compare_detectors",
            "tessera.stages.detectors.settings:ComparedDetector",
        ),
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
        model=of_kind(DETECTOR),
    params:
        settings=lookup(dpath="models/{model}/export", within=config),
        code=code_digest("tessera.stages.detectors.export:export_detector"),
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
        model=of_kind(DETECTOR),
    params:
        code=code_digest("tessera.stages.detectors.export:export_for_lada"),
    script:
        "../scripts/export_for_lada.py"


rule verify_export:
    input:
        description=of_model("<results>/datasets/{dataset}/dataset.yaml"),
        parts=parts_of_dataset,
        checkpoint="<results>/exports/{model}/{model}.pt",
        onnx="<results>/exports/{model}/{model}.onnx",
        lada=weights_for_lada,
    output:
        report="<results>/metrics/{model}.export.json",
    log:
        "<logs>/verify_export/{model}.log",
    benchmark:
        "<benchmarks>/verify_export/{model}.jsonl"
    wildcard_constraints:
        model=of_kind(DETECTOR),
    threads: 4
    params:
        export=lookup(dpath="models/{model}/export", within=config),
        tolerance=lookup(dpath="models/{model}/tolerance", within=config),
        code=code_digest("tessera.stages.detectors.export:verify_export"),
    script:
        "../scripts/verify_export.py"


ruleorder: write_model_card > write_plain_card


rule write_model_card:
    input:
        checksums=of_model("<results>/datasets/{dataset}/SHA256SUMS"),
        datasheet=of_model("<results>/datasets/{dataset}/datasheet.json"),
        metrics="<results>/metrics/{model}.json",
        export="<results>/metrics/{model}.export.json",
        files=exported_files,
        record="<results>/training/{model}/training.json",
    output:
        data="<results>/exports/{model}/card.json",
        text="<results>/exports/{model}/card.md",
    log:
        "<logs>/write_model_card/{model}.log",
    benchmark:
        "<benchmarks>/write_model_card/{model}.jsonl"
    wildcard_constraints:
        model=of_kind(DETECTOR),
    localrule: True
    params:
        settings=lookup(dpath="models/{model}", within=config),
        purpose=lambda wildcards: MODELS[wildcards.model].purpose,
        not_for=lambda wildcards: MODELS[wildcards.model].kind.not_for,
        code=code_digest("tessera.pages.cards:write_model_card"),
    script:
        "../scripts/write_model_card.py"
