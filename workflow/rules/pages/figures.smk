# The figures of the report: a rule for each entry of the table that names a function, then those that need a rule of their own.

from tessera.catalogue import (
    CLASSIFIER,
    CLIPS,
    DETECTOR,
    FACE_SETS,
    IMAGES,
    IMAGE_SETS,
    RESTORER,
)
from tessera.core.definitions import code_digest
from tessera.workflow.active_learning import asked_classifiers, reached_by_rounds
from tessera.workflow.classifiers import label_checks
from tessera.workflow.code import digest_of_script
from tessera.workflow.datasets import drawn_on
from tessera.workflow.detectors import (
    cases_of,
    confidences_of,
    inference_size,
    known_free,
    mosaics_of_model,
    preview_evaluation,
    preview_target,
    target_of_model,
)
from tessera.workflow.embeddings import embedded_pictures
from tessera.workflow.figures import (
    constraints_of_figure,
    figure_flags,
    figures_with_function,
    inputs_of_figure,
    log_of_figure,
)
from tessera.workflow.identities import vectors_of_crops
from tessera.workflow.image_sets import made_of_set
from tessera.workflow.models import content_of_sets, export_report
from tessera.workflow.project import any_of, literal_param, project_of, unwatched_param
from tessera.workflow.report import (
    content_of_labelled_sets,
    gates_of_funnel,
    ledgers_of_funnel,
    steps_of_funnel,
    timed_rules,
)
from tessera.workflow.restoration import compared_models, compared_weights, stages
from tessera.workflow.restore import of_shown

project = project_of(config)


for figure in figures_with_function():

    rule:
        name:
            figure.name
        input:
            unpack(project.of_job(inputs_of_figure, figure)),
        output:
            path=report(
                f"<results>/reports/{figure.path}",
                **figure_flags(figure.name, figure.path),
            ),
        log:
            f"<logs>/{log_of_figure(figure)}.log",
        benchmark:
            f"<benchmarks>/{log_of_figure(figure)}.jsonl"
        wildcard_constraints:
            **constraints_of_figure(project, figure),
        localrule: True
        params:
            # The digest of the code says what counts: a function that only moves draws nothing again.
            function=unwatched_param(figure.function),
            arguments=literal_param(figure.arguments),
            code=code_digest(figure.function),
        script:
            "../../scripts/draw_figure.py"


rule plot_funnel:
    input:
        gates=project.of_job(gates_of_funnel),
        ledgers=project.of_job(ledgers_of_funnel),
        splits="<results>/datasets/{dataset}/splits.parquet",
    output:
        funnel=report(
            "<results>/reports/datasets/{dataset}/funnel.svg",
            **figure_flags("plot_funnel", "datasets/{dataset}/funnel.svg"),
        ),
        table=report(
            "<results>/reports/datasets/{dataset}/counts.html",
            **figure_flags("plot_funnel", "datasets/{dataset}/counts.html"),
        ),
        dropped=report(
            "<results>/reports/datasets/{dataset}/dropped.svg",
            **figure_flags("plot_funnel", "datasets/{dataset}/dropped.svg"),
        ),
        counts="<results>/reports/datasets/{dataset}/counts.json",
    log:
        "<logs>/plot_funnel/{dataset}.log",
    benchmark:
        "<benchmarks>/plot_funnel/{dataset}.jsonl"
    localrule: True
    params:
        steps=project.of_job(steps_of_funnel),
        samples=project.of_dataset(lambda dataset: dataset.layout.samples),
        code=digest_of_script("plot_funnel"),
    script:
        "../../scripts/plot_funnel.py"


rule plot_samples:
    input:
        mosaics=project.of_dataset(
            lambda dataset: drawn_on(project, dataset, "mosaics")
        ),
        marks=project.of_dataset(lambda dataset: drawn_on(project, dataset, "marks")),
        images="<results>/datasets/{dataset}/images",
        selected="<results>/selections/{dataset}/images.parquet",
        regions="<results>/selections/{dataset}/annotations.parquet",
        splits="<results>/datasets/{dataset}/splits.parquet",
        sources="<results>/sources/admitted.parquet",
    output:
        # A folder, because a split may have no samples.
        samples=report(
            directory("<results>/reports/datasets/{dataset}/samples"),
            **figure_flags("plot_samples", "datasets/{dataset}/samples"),
        ),
    log:
        "<logs>/plot_samples/{dataset}.log",
    benchmark:
        "<benchmarks>/plot_samples/{dataset}.jsonl"
    wildcard_constraints:
        dataset=project.datasets_with_layout(IMAGES),
    params:
        settings=lookup(dpath="report", within=config),
        sets=project.of_job(content_of_sets),
        seed=lookup(dpath="seed", within=config),
        code=digest_of_script("plot_samples"),
    script:
        "../../scripts/plot_samples.py"


rule plot_clips:
    input:
        folders=[
            "<results>/datasets/{dataset}/train",
            "<results>/datasets/{dataset}/val",
            "<results>/datasets/{dataset}/test",
        ],
        clips="<results>/datasets/{dataset}/clips.parquet",
        splits="<results>/datasets/{dataset}/splits.parquet",
        sources="<results>/sources/admitted.parquet",
    output:
        # A folder, because a split may have no clips.
        samples=report(
            directory("<results>/reports/datasets/{dataset}/samples"),
            **figure_flags("plot_clips", "datasets/{dataset}/samples"),
        ),
    log:
        "<logs>/plot_clips/{dataset}.log",
    benchmark:
        "<benchmarks>/plot_clips/{dataset}.jsonl"
    wildcard_constraints:
        dataset=project.datasets_with_layout(CLIPS),
    params:
        settings=lookup(dpath="report", within=config),
        sets=project.of_job(content_of_sets),
        seed=lookup(dpath="seed", within=config),
        code=digest_of_script("plot_clips"),
    script:
        "../../scripts/plot_clips.py"


rule show_set:
    input:
        selected="<results>/selections/{dataset}/pictures.parquet",
        splits="<results>/datasets/{dataset}/splits.parquet",
        resized="<results>/image_sets/{dataset}/resized.parquet",
        images="<results>/image_sets/{dataset}/images",
        captions=project.of_job(made_of_set, "captions"),
        arrangement=project.of_job(made_of_set, "arrangement"),
        distribution=project.of_job(made_of_set, "arrangement", table="distribution"),
        sources="<results>/sources/admitted.parquet",
    output:
        page=report(
            "<results>/reports/datasets/{dataset}/pictures.html",
            **figure_flags("show_set", "datasets/{dataset}/pictures.html"),
        ),
    log:
        "<logs>/show_set/{dataset}.log",
    benchmark:
        "<benchmarks>/show_set/{dataset}.jsonl"
    wildcard_constraints:
        dataset=project.datasets_with_layout(IMAGE_SETS),
    localrule: True
    params:
        settings=lookup(dpath="report", within=config),
        seed=lookup(dpath="seed", within=config),
        code=digest_of_script("show_set"),
    script:
        "../../scripts/show_set.py"


rule show_face_set:
    input:
        selection="<results>/selections/{dataset}/ledger.jsonl",
        orders="<results>/face_sets/{dataset}/orders.parquet",
        sheets="<results>/face_sets/{dataset}/sheets",
    output:
        page=report(
            "<results>/reports/datasets/{dataset}/faces.html",
            **figure_flags("show_face_set", "datasets/{dataset}/faces.html"),
        ),
    log:
        "<logs>/show_face_set/{dataset}.log",
    benchmark:
        "<benchmarks>/show_face_set/{dataset}.jsonl"
    wildcard_constraints:
        dataset=project.datasets_with_layout(FACE_SETS),
    localrule: True
    params:
        settings=lookup(dpath="report", within=config),
        code=digest_of_script("show_face_set"),
    script:
        "../../scripts/show_face_set.py"


rule tabulate_metrics:
    input:
        metrics="<results>/metrics/{model}.json",
        exported=project.of_job(export_report),
    output:
        table=report(
            "<results>/reports/models/{model}/metrics.html",
            **figure_flags("tabulate_metrics", "models/{model}/metrics.html"),
        ),
    log:
        "<logs>/tabulate_metrics/{model}.log",
    benchmark:
        "<benchmarks>/tabulate_metrics/{model}.jsonl"
    wildcard_constraints:
        model=project.models_described_by("tabulate_metrics"),
    localrule: True
    params:
        code=digest_of_script("tabulate_metrics"),
    script:
        "../../scripts/tabulate_metrics.py"


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
            **figure_flags("plot_predictions", "models/{model}/predictions.html"),
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
            **figure_flags("plot_failures", "models/{model}/where.html"),
        ),
        pictures=report(
            "<results>/reports/models/{model}/failures.html",
            **figure_flags("plot_failures", "models/{model}/failures.html"),
        ),
        thresholds=report(
            "<results>/reports/models/{model}/thresholds.svg",
            **figure_flags("plot_failures", "models/{model}/thresholds.svg"),
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
        finds=project.of_job(target_of_model),
        free=project.of_job(known_free),
        preview={"confidence": config["preview"]["confidence"]},
        targets=project.of_job(preview_target),
        code=digest_of_script("plot_failures"),
    script:
        "../../scripts/plot_failures.py"


rule plot_learning:
    input:
        metrics="<results>/metrics/{model}.json",
        pictures=project.of_model("<results>/datasets/{dataset}/pictures.parquet"),
    output:
        table="<results>/asked/{model}.parquet",
        figure=report(
            "<results>/reports/models/{model}/learning.svg",
            **figure_flags("plot_learning", "models/{model}/learning.svg"),
        ),
    log:
        "<logs>/plot_learning/{model}.log",
    benchmark:
        "<benchmarks>/plot_learning/{model}.jsonl"
    wildcard_constraints:
        model=any_of(asked_classifiers(project)),
    localrule: True
    params:
        rounds=project.of_job(reached_by_rounds),
        code=digest_of_script("plot_learning"),
    script:
        "../../scripts/plot_learning.py"


rule plot_examples:
    input:
        images=project.of_model("<results>/datasets/{dataset}/images"),
        predictions="<results>/evaluation/{model}/predictions.parquet",
        weights="<results>/weights/{model}/{model}.safetensors",
        checksums="<results>/weights/{model}/SHA256SUMS",
        splits=project.of_model("<results>/datasets/{dataset}/splits.parquet"),
        sources="<results>/sources/admitted.parquet",
    output:
        figure=report(
            "<results>/reports/models/{model}/examples.html",
            **figure_flags("plot_examples", "models/{model}/examples.html"),
        ),
    log:
        "<logs>/plot_examples/{model}.log",
    benchmark:
        "<benchmarks>/plot_examples/{model}.jsonl"
    wildcard_constraints:
        model=project.models_of_kind(CLASSIFIER),
    threads: 2
    resources:
        gpu=1,
    params:
        settings=lookup(dpath="report", within=config),
        sets=project.of_job(content_of_sets),
        code=digest_of_script("plot_examples"),
    script:
        "../../scripts/plot_examples.py"


rule show_label_errors:
    input:
        errors="<results>/evaluation/{model}/label_errors.parquet",
        metrics="<results>/evaluation/{model}/out_of_fold.json",
        pictures=project.of_model("<results>/datasets/{dataset}/pictures.parquet"),
        images=project.of_model("<results>/datasets/{dataset}/images"),
        sources="<results>/sources/admitted.parquet",
    output:
        page=report(
            "<results>/reports/models/{model}/label_errors.html",
            **figure_flags("show_label_errors", "models/{model}/label_errors.html"),
        ),
    log:
        "<logs>/show_label_errors/{model}.log",
    benchmark:
        "<benchmarks>/show_label_errors/{model}.jsonl"
    wildcard_constraints:
        model=any_of(label_checks(project)),
    localrule: True
    params:
        settings=lookup(dpath="report", within=config),
        sets=project.of_job(content_of_sets),
        code=digest_of_script("show_label_errors"),
    script:
        "../../scripts/show_label_errors.py"


rule plot_stages:
    input:
        curves=expand(
            "<results>/training/{{model}}/{stage}/curves.csv", stage=stages(project)
        ),
    output:
        figure=report(
            "<results>/reports/models/{model}/stages.svg",
            **figure_flags("plot_stages", "models/{model}/stages.svg"),
        ),
    log:
        "<logs>/plot_stages/{model}.log",
    benchmark:
        "<benchmarks>/plot_stages/{model}.jsonl"
    wildcard_constraints:
        model=project.models_of_kind(RESTORER),
    localrule: True
    params:
        code=digest_of_script("plot_stages"),
    script:
        "../../scripts/plot_stages.py"


rule tabulate_restorers:
    input:
        metrics="<results>/metrics/{model}.json",
        speed="<results>/comparisons/{model}/speed.json",
        trained="<results>/exports/{model}/{model}.safetensors",
        compared=compared_weights(project),
    output:
        table=report(
            "<results>/reports/models/{model}/comparison.html",
            **figure_flags("tabulate_restorers", "models/{model}/comparison.html"),
        ),
    log:
        "<logs>/tabulate_restorers/{model}.log",
    benchmark:
        "<benchmarks>/tabulate_restorers/{model}.jsonl"
    wildcard_constraints:
        model=project.models_of_kind(RESTORER),
    localrule: True
    params:
        names=["restored", *compared_models(project)],
        code=digest_of_script("tabulate_restorers"),
    script:
        "../../scripts/tabulate_restorers.py"


rule plot_restored:
    input:
        pictures="<results>/training/{model}/pictures",
        splits=project.of_model("<results>/datasets/{dataset}/splits.parquet"),
        sources="<results>/sources/admitted.parquet",
    output:
        # A folder, because a split may have no clips.
        restored=report(
            directory("<results>/reports/models/{model}/restored"),
            **figure_flags("plot_restored", "models/{model}/restored"),
        ),
    log:
        "<logs>/plot_restored/{model}.log",
    benchmark:
        "<benchmarks>/plot_restored/{model}.jsonl"
    wildcard_constraints:
        model=project.models_of_kind(RESTORER),
    params:
        settings=lookup(dpath="report", within=config),
        sets=project.of_job(content_of_sets),
        code=digest_of_script("plot_restored"),
    script:
        "../../scripts/plot_restored.py"


rule show_footage:
    input:
        comparisons=of_shown(project, "comparisons"),
        scenes=of_shown(project, "scenes.parquet"),
        scene_frames=of_shown(project, "scene_frames.parquet"),
        ledgers=of_shown(project, "ledger.jsonl"),
        sources="<results>/sources/admitted.parquet",
    output:
        page=report(
            "<results>/reports/footage.html",
            **figure_flags("show_footage", "footage.html"),
        ),
    log:
        "<logs>/show_footage.log",
    benchmark:
        "<benchmarks>/show_footage.jsonl"
    params:
        shown=literal_param(config["restore"]["shown"]),
        settings=lookup(dpath="report", within=config),
        code=digest_of_script("show_footage"),
    script:
        "../../scripts/show_footage.py"


rule show_near_duplicates:
    input:
        pairs="<results>/near_duplicates/{embedding}/near_duplicates.parquet",
        tables=project.of_job(embedded_pictures),
        frames=expand("<results>/frames/{shard}/images", shard=project.shards),
        sources="<results>/sources/admitted.parquet",
    output:
        # A folder, because there may be no near-duplicates.
        pictures=report(
            directory("<results>/reports/near_duplicates/{embedding}"),
            **figure_flags("show_near_duplicates", "near_duplicates/{embedding}"),
        ),
    log:
        "<logs>/show_near_duplicates/{embedding}.log",
    benchmark:
        "<benchmarks>/show_near_duplicates/{embedding}.jsonl"
    localrule: True
    params:
        settings=lookup(dpath="report", within=config),
        sets=literal_param(content_of_labelled_sets(project)),
        code=digest_of_script("show_near_duplicates"),
    script:
        "../../scripts/show_near_duplicates.py"


rule show_identities:
    input:
        identities="<results>/identities/identities.parquet",
        tables=vectors_of_crops(project),
        crops="<results>/identities/ledger.jsonl",
        decisions="<results>/identities/decisions.jsonl",
        sources="<results>/sources/admitted.parquet",
    output:
        pictures=report(
            directory("<results>/reports/identities/sheets"),
            **figure_flags("show_identities", "identities/sheets"),
        ),
        page=report(
            "<results>/reports/identities/identities.html",
            **figure_flags("show_identities", "identities/identities.html"),
        ),
    log:
        "<logs>/show_identities.log",
    benchmark:
        "<benchmarks>/show_identities.jsonl"
    localrule: True
    params:
        settings=lookup(dpath="report", within=config),
        shown=config["identities"] and config["identities"]["shown"],
        code=digest_of_script("show_identities"),
    script:
        "../../scripts/show_identities.py"


# The measurements are not inputs: deleting one would train a model again. The inputs make this rule run after other jobs.
rule plot_timings:
    input:
        expand("<results>/weights/{model}/SHA256SUMS", model=project.models),
        expand("<results>/datasets/{dataset}/SHA256SUMS", dataset=project.datasets),
    output:
        timings=report(
            "<results>/reports/timings.svg",
            **figure_flags("plot_timings", "timings.svg"),
        ),
        run="<results>/reports/run.json",
    log:
        "<logs>/plot_timings.log",
    benchmark:
        "<benchmarks>/plot_timings.jsonl"
    localrule: True
    params:
        benchmarks=workflow.pathvars.apply("<benchmarks>"),
        rules=timed_rules(workflow),
        shards=list(project.shards),
        code=digest_of_script("plot_timings"),
    script:
        "../../scripts/plot_timings.py"
