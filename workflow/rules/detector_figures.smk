# The figures of detectors: curves, predictions, where they fail, and comparisons.

from tessera.catalogue import CLASSIFIER, DETECTOR
from tessera.configuration.confidences import CONFIDENCES, setting
from tessera.core.definitions import code_digest


rule show_curves:
    input:
        curves="<results>/training/{model}/curves",
    output:
        page=report(
            "<results>/reports/models/{model}/curves.html",
            caption="../report/curves.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "3. Curves"},
        ),
    log:
        "<logs>/show_curves/{model}.log",
    benchmark:
        "<benchmarks>/show_curves/{model}.jsonl"
    wildcard_constraints:
        model=of_kind(DETECTOR, CLASSIFIER),
    localrule: True
    params:
        code=code_digest("tessera.pages.report.pages:show_pictures"),
    script:
        "../scripts/show_curves.py"


rule plot_predictions:
    input:
        images=of_model("<results>/datasets/{dataset}/images"),
        selected=of_model("<results>/selections/{dataset}/images.parquet"),
        regions=of_model("<results>/selections/{dataset}/annotations.parquet"),
        splits=of_model("<results>/datasets/{dataset}/splits.parquet"),
        weights="<results>/weights/{model}/{model}.pt",
        checksums="<results>/weights/{model}/SHA256SUMS",
        sources="<results>/sources/admitted.parquet",
        measured=preview_evaluation,
    output:
        figure=report(
            "<results>/reports/models/{model}/predictions.html",
            caption="../report/predictions.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "4. Predictions"},
        ),
    log:
        "<logs>/plot_predictions/{model}.log",
    benchmark:
        "<benchmarks>/plot_predictions/{model}.jsonl"
    wildcard_constraints:
        model=of_kind(DETECTOR),
    threads: 2
    resources:
        gpu=1,
    params:
        settings=lookup(dpath="report", within=config),
        sets=content_of_sets,
        seed=lookup(dpath="seed", within=config),
        preview={"confidence": config["preview"]["confidence"]},
        targets=preview_target,
        image_size=inference_size,
        code=code_digest(
            "tessera.pages.report.samples:draw_predictions",
            "tessera.learning.detection.detector:Detector",
            "tessera.pages.report.tiles:choose_shown",
            "tessera.records.confidence:with_confidences",
        ),
    script:
        "../scripts/plot_predictions.py"


def cases_of(wildcards):
    """Return the folder of what a model found and missed; also of the models that it is compared with, if there are any."""
    room = "comparisons" if wildcards.model in COMPARED else "evaluation"
    return f"<results>/{room}/{wildcards.model}"


def confidences_of(wildcards):
    """Return the confidences from which the detections of a model count somewhere, by the path of the setting.

    Each has its value, and the smallest confidence of the detections that are recorded there.
    """
    return {
        place: (setting(config, place), setting(config, records) if records else 0.0)
        for place, (finds, detector, records) in CONFIDENCES.items()
        if not finds
        or finds == MODELS[wildcards.model].finds
        and setting(config, detector)["weights"] == "trained"
    }


rule plot_failures:
    input:
        objects=lambda wildcards: f"{cases_of(wildcards)}/objects.parquet",
        detections=lambda wildcards: f"{cases_of(wildcards)}/detections.parquet",
        videos="<results>/evaluation/{model}/videos.parquet",
        watched="<results>/evaluation/{model}/videos.jsonl",
        splits=of_model("<results>/datasets/{dataset}/splits.parquet"),
        ledger=of_model("<results>/datasets/{dataset}/ledger.jsonl"),
        images=of_model("<results>/datasets/{dataset}/images"),
        mosaics=lambda wildcards: places(
            *drawn(DATASETS[MODELS[wildcards.model].dataset], "mosaics")
        ),
        sources="<results>/sources/admitted.parquet",
        measured=preview_evaluation,
    output:
        table=report(
            "<results>/reports/models/{model}/where.html",
            caption="../report/where.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "5. Where it fails"},
        ),
        pictures=report(
            "<results>/reports/models/{model}/failures.html",
            caption="../report/failures.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "6. Worst cases"},
        ),
        thresholds=report(
            "<results>/reports/models/{model}/thresholds.svg",
            caption="../report/thresholds.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "7. Confidences"},
        ),
        clean="<results>/reports/models/{model}/false_positives.json",
    log:
        "<logs>/plot_failures/{model}.log",
    benchmark:
        "<benchmarks>/plot_failures/{model}.jsonl"
    wildcard_constraints:
        model=of_kind(DETECTOR),
    params:
        settings=lookup(dpath="report", within=config),
        sets=content_of_sets,
        confidences=confidences_of,
        finds=lambda wildcards: MODELS[wildcards.model].finds,
        free=known_free,
        preview={"confidence": config["preview"]["confidence"]},
        targets=preview_target,
        code=code_digest(
            "tessera.pages.report.failures:read_cases",
            "tessera.pages.report.videos:describe_videos",
            "tessera.pages.report.failures:tabulate_failures",
            "tessera.pages.report.failures:count_false_positives",
            "tessera.pages.report.failures:draw_thresholds",
            "tessera.pages.report.failures:draw_failures",
            "tessera.pages.report.tiles:find_clear",
            "tessera.records.confidence:with_confidences",
        ),
    script:
        "../scripts/plot_failures.py"


rule tabulate_comparison:
    input:
        report="<results>/metrics/{model}.comparison.json",
        speed="<results>/comparisons/{model}/speed.json",
    output:
        table=report(
            "<results>/reports/models/{model}/comparison.html",
            caption="../report/comparison.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "8. Comparison"},
        ),
    log:
        "<logs>/tabulate_comparison/{model}.log",
    benchmark:
        "<benchmarks>/tabulate_comparison/{model}.jsonl"
    wildcard_constraints:
        model=any_of(COMPARED),
    localrule: True
    params:
        code=code_digest("tessera.pages.report.detectors:tabulate_comparison"),
    script:
        "../scripts/tabulate_comparison.py"
