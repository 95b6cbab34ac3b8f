# Detectors: from a dataset to weights that were measured, exported, compared with what was trained, and described.

from tessera.core.weights.declare import WeightsSettings

# The weights that are declared, by the setting that does it.
DECLARED = {
    setting: weights
    for setting, weights in {
        **{
            f"models.{name}.weights": each["weights"]
            for name, each in config["models"].items()
            if each
        },
        **{
            f"{room}.detectors.{name}.weights": each["weights"]
            for room in ("regions", "scores")
            for name, each in config[room]["detectors"].items()
        },
        "scenes.detect.weights": config["scenes"]["detect"]["weights"],
        "scores.quality": config["scores"]["quality"],
        **{
            f"restoration.weights.{name}": each
            for name, each in config["restoration"]["weights"].items()
        },
        "restoration.metrics.lpips": config["restoration"]["metrics"]["lpips"],
    }.items()
    if isinstance(weights, dict)
}


def dataset_of(wildcards):
    """Return the files that a trainer reads: the dataset of the same name as the model."""
    return expand(
        "<results>/datasets/{model}/{part}", part=["images", "labels"], **wildcards
    )


def declared_weights(wildcards):
    """Return the file of the weights that a model starts from, or nothing."""
    declared = config["models"][wildcards.model]["weights"]
    return WeightsSettings(**declared).file if declared else []


def weights_with_digest(wildcards):
    """Return the declared weights that have the digest."""
    declared = DECLARED.values()
    return next(each for each in declared if each["sha256"] == wildcards.sha256)


def weights_are_there(wildcards):
    """Return no input, as `labels_are_there`. What was fetched before may be gone from where it came."""
    for setting, declared in DECLARED.items():
        weights = WeightsSettings(**declared)
        is_asked_for = (
            weights.sha256 == wildcards.sha256 and "://" not in weights.source
        )
        if is_asked_for and not Path(weights.file).exists():
            check_there(setting, weights.source)
    return []


rule fetch_weights:
    input:
        weights_are_there,
    output:
        weights="resources/weights/{sha256}.{kind}",
    log:
        "<logs>/fetch_weights/{sha256}.{kind}.log",
    benchmark:
        "<benchmarks>/fetch_weights/{sha256}.{kind}.jsonl"
    wildcard_constraints:
        sha256="[0-9a-f]{64}",
        kind="pt|onnx",
    params:
        settings=weights_with_digest,
        code=code_digest("tessera.core.weights.fetch:fetch_weights"),
    script:
        "../scripts/fetch_weights.py"


rule check_dataset:
    input:
        checksums="<results>/datasets/{model}/SHA256SUMS",
        parts=dataset_of,
    output:
        report="<results>/training/{model}/dataset.json",
    log:
        "<logs>/check_dataset/{model}.log",
    benchmark:
        "<benchmarks>/check_dataset/{model}.jsonl"
    threads: 4
    params:
        architecture=lookup(dpath="models/{model}/architecture", within=config),
        code=code_digest(
            "tessera.pipeline.detectors.dataset:check_dataset",
            "tessera.pipeline.detectors.settings:task_of",
        ),
    script:
        "../scripts/check_dataset.py"


rule train_detector:
    input:
        description="<results>/datasets/{model}/dataset.yaml",
        parts=dataset_of,
        checked="<results>/training/{model}/dataset.json",
        weights=declared_weights,
    output:
        # The folder `runs` beside them is not an output: it keeps each training, finished or not, to be taken up again.
        weights="<results>/training/{model}/best.pt",
        curves="<results>/training/{model}/results.csv",
        record="<results>/training/{model}/training.json",
    log:
        "<logs>/train_detector/{model}.log",
    benchmark:
        "<benchmarks>/train_detector/{model}.jsonl"
    threads: 8
    resources:
        gpu=1,
    params:
        architecture=lookup(dpath="models/{model}/architecture", within=config),
        weights=lookup(dpath="models/{model}/weights", within=config),
        training=lookup(dpath="models/{model}/training", within=config),
        seed=lookup(dpath="seed", within=config),
        # Part of the identity of the training: the definitions that decide its numbers.
        trained_by=code_digest("tessera.pipeline.detectors.train:fit"),
        code=code_digest("tessera.pipeline.detectors.train:train_detector"),
    script:
        "../scripts/train_detector.py"


rule evaluate_detector:
    input:
        description="<results>/datasets/{model}/dataset.yaml",
        parts=dataset_of,
        checked="<results>/training/{model}/dataset.json",
        weights="<results>/training/{model}/best.pt",
        curves="<results>/training/{model}/results.csv",
    output:
        metrics="<results>/metrics/{model}.json",
        curves=directory("<results>/training/{model}/curves"),
    log:
        "<logs>/evaluate_detector/{model}.log",
    benchmark:
        "<benchmarks>/evaluate_detector/{model}.jsonl"
    threads: 4
    resources:
        gpu=1,
    params:
        architecture=lookup(dpath="models/{model}/architecture", within=config),
        training=lookup(dpath="models/{model}/training", within=config),
        code=code_digest("tessera.pipeline.detectors.evaluate:evaluate_detector"),
    script:
        "../scripts/evaluate_detector.py"


rule export_detector:
    input:
        weights="<results>/training/{model}/best.pt",
    output:
        checkpoint="<results>/weights/{model}/{model}.pt",
        onnx="<results>/weights/{model}/{model}.onnx",
    log:
        "<logs>/export_detector/{model}.log",
    benchmark:
        "<benchmarks>/export_detector/{model}.jsonl"
    params:
        settings=lookup(dpath="models/{model}/export", within=config),
        code=code_digest("tessera.pipeline.detectors.export:export_detector"),
    script:
        "../scripts/export_detector.py"


rule verify_export:
    input:
        description="<results>/datasets/{model}/dataset.yaml",
        parts=dataset_of,
        checkpoint="<results>/weights/{model}/{model}.pt",
        onnx="<results>/weights/{model}/{model}.onnx",
    output:
        report="<results>/metrics/{model}.export.json",
    log:
        "<logs>/verify_export/{model}.log",
    benchmark:
        "<benchmarks>/verify_export/{model}.jsonl"
    threads: 4
    params:
        export=lookup(dpath="models/{model}/export", within=config),
        tolerance=lookup(dpath="models/{model}/tolerance", within=config),
        code=code_digest("tessera.pipeline.detectors.export:verify_export"),
    script:
        "../scripts/verify_export.py"


rule write_model_card:
    input:
        checksums="<results>/datasets/{model}/SHA256SUMS",
        datasheet="<results>/datasets/{model}/datasheet.json",
        metrics="<results>/metrics/{model}.json",
        export="<results>/metrics/{model}.export.json",
        record="<results>/training/{model}/training.json",
        checkpoint="<results>/weights/{model}/{model}.pt",
        onnx="<results>/weights/{model}/{model}.onnx",
    output:
        data="<results>/weights/{model}/card.json",
        text="<results>/weights/{model}/card.md",
    log:
        "<logs>/write_model_card/{model}.log",
    benchmark:
        "<benchmarks>/write_model_card/{model}.jsonl"
    params:
        settings=lookup(dpath="models/{model}", within=config),
        code=code_digest("tessera.pipeline.cards:write_model_card"),
    script:
        "../scripts/write_model_card.py"


rule checksum_weights:
    input:
        files=[
            "<results>/weights/{model}/{model}.pt",
            "<results>/weights/{model}/{model}.onnx",
            "<results>/weights/{model}/card.json",
            "<results>/weights/{model}/card.md",
        ],
    output:
        checksums="<results>/weights/{model}/SHA256SUMS",
    log:
        "<logs>/checksum_weights/{model}.log",
    benchmark:
        "<benchmarks>/checksum_weights/{model}.jsonl"
    params:
        code=code_digest("tessera.core.provenance:write_checksums"),
    script:
        "../scripts/checksum_weights.py"
