# The figures of detectors: curves, predictions, where they fail, and comparisons.

from tessera.catalogue import CLASSIFIER, DETECTOR
from tessera.workflow.code import digest_of_script
from tessera.workflow.detectors import (
    cases_of,
    compared_detectors,
    confidences_of,
    inference_size,
    known_free,
    mosaics_of_model,
    preview_evaluation,
    preview_target,
    what_it_finds,
)
from tessera.workflow.models import content_of_sets
from tessera.workflow.project import any_of, project_of

project = project_of(config)


rule show_curves:
    input:
        curves="<results>/training/{model}/curves",
    output:
        page=report(
            "<results>/reports/models/{model}/curves.html",
            caption="../../report/curves.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "3. Curves"},
        ),
    log:
        "<logs>/show_curves/{model}.log",
    benchmark:
        "<benchmarks>/show_curves/{model}.jsonl"
    wildcard_constraints:
        model=project.models_of_kind(DETECTOR, CLASSIFIER),
    localrule: True
    params:
        code=digest_of_script("show_curves"),
    script:
        "../../scripts/show_curves.py"


rule plot_predictions:
    input:
        images=project.of_model("<results>/datasets/{dataset}/images"),
        selected=project.of_model("<results>/selections/{dataset}/images.parquet"),
        regions=project.of_model("<results>/selections/{dataset}/annotations.parquet"),
        splits=project.of_model("<results>/datasets/{dataset}/splits.parquet"),
        weights="<results>/weights/{model}/{model}.pt",
        checksums="<results>/weights/{model}/SHA256SUMS",
        sources="<results>/sources/admitted.parquet",
        measured=project.of_job(preview_evaluation),
    output:
        figure=report(
            "<results>/reports/models/{model}/predictions.html",
            caption="../../report/predictions.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "4. Predictions"},
        ),
    log:
        "<logs>/plot_predictions/{model}.log",
    benchmark:
        "<benchmarks>/plot_predictions/{model}.jsonl"
    wildcard_constraints:
        model=project.models_of_kind(DETECTOR),
    threads: 2
    resources:
        gpu=1,
    params:
        settings=lookup(dpath="report", within=config),
        sets=project.of_job(content_of_sets),
        seed=lookup(dpath="seed", within=config),
        preview={"confidence": config["preview"]["confidence"]},
        targets=project.of_job(preview_target),
        image_size=project.of_job(inference_size),
        code=digest_of_script("plot_predictions"),
    script:
        "../../scripts/plot_predictions.py"


rule plot_failures:
    input:
        objects=project.of_job(cases_of, "objects"),
        detections=project.of_job(cases_of, "detections"),
        videos="<results>/evaluation/{model}/videos.parquet",
        watched="<results>/evaluation/{model}/videos.jsonl",
        splits=project.of_model("<results>/datasets/{dataset}/splits.parquet"),
        ledger=project.of_model("<results>/datasets/{dataset}/ledger.jsonl"),
        images=project.of_model("<results>/datasets/{dataset}/images"),
        mosaics=project.of_job(mosaics_of_model),
        sources="<results>/sources/admitted.parquet",
        measured=project.of_job(preview_evaluation),
    output:
        table=report(
            "<results>/reports/models/{model}/where.html",
            caption="../../report/where.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "5. Where it fails"},
        ),
        pictures=report(
            "<results>/reports/models/{model}/failures.html",
            caption="../../report/failures.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "6. Worst cases"},
        ),
        thresholds=report(
            "<results>/reports/models/{model}/thresholds.svg",
            caption="../../report/thresholds.rst",
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
        model=project.models_of_kind(DETECTOR),
    params:
        settings=lookup(dpath="report", within=config),
        sets=project.of_job(content_of_sets),
        confidences=project.of_job(confidences_of),
        finds=project.of_job(what_it_finds),
        free=project.of_job(known_free),
        preview={"confidence": config["preview"]["confidence"]},
        targets=project.of_job(preview_target),
        code=digest_of_script("plot_failures"),
    script:
        "../../scripts/plot_failures.py"


rule tabulate_comparison:
    input:
        report="<results>/metrics/{model}.comparison.json",
        speed="<results>/comparisons/{model}/speed.json",
    output:
        table=report(
            "<results>/reports/models/{model}/comparison.html",
            caption="../../report/comparison.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "8. Comparison"},
        ),
    log:
        "<logs>/tabulate_comparison/{model}.log",
    benchmark:
        "<benchmarks>/tabulate_comparison/{model}.jsonl"
    wildcard_constraints:
        model=any_of(compared_detectors(project)),
    localrule: True
    params:
        code=digest_of_script("tabulate_comparison"),
    script:
        "../../scripts/tabulate_comparison.py"
