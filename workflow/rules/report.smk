# The report: what became of the footage, what the models learned, how long it took. Snakemake's own HTML report.

from tessera.core.provenance import digest


report: "../report/workflow.rst"


# Captions are part of the report, but Snakemake does not watch them.
CAPTIONS = Path(workflow.current_basedir.get_path_or_uri(secret_free=True), "../report")
# What is timed: every rule of the journey, in its order, and whether it has a job per shard.
TIMED = {
    each.name: "shard" in each.wildcard_names
    for each in workflow.rules
    if each.benchmark
}


def gates_to(wildcards):
    """Return the counts of all rooms on the way to a dataset, in their order."""
    rooms = ["sources", *GATES[wildcards.dataset]]
    return expand("<results>/gates/{room}.json", room=rooms)


# The search for near-duplicates is a step to those datasets that it thins.
SEARCHES = dict.fromkeys(DUPLICATES, "<results>/duplicates/ledger.jsonl")


rule plot_funnel:
    input:
        gates=gates_to,
        duplicates=of_dataset(SEARCHES),
        selection="<results>/annotations/{dataset}/ledger.jsonl",
        writing="<results>/datasets/{dataset}/ledger.jsonl",
        splits="<results>/datasets/{dataset}/splits.parquet",
    output:
        funnel=report(
            "<results>/reports/datasets/{dataset}/funnel.svg",
            caption="../report/funnel.rst",
            category="1. Footage",
            subcategory="{dataset}",
            labels={"figure": "1. From sources to samples"},
        ),
        table=report(
            "<results>/reports/datasets/{dataset}/counts.html",
            caption="../report/counts.rst",
            category="1. Footage",
            subcategory="{dataset}",
            labels={"figure": "2. From sources to samples, as a table"},
        ),
        dropped=report(
            "<results>/reports/datasets/{dataset}/dropped.svg",
            caption="../report/dropped.rst",
            category="1. Footage",
            subcategory="{dataset}",
            labels={"figure": "3. Left out, by reason"},
        ),
    log:
        "<logs>/plot_funnel/{dataset}.log",
    benchmark:
        "<benchmarks>/plot_funnel/{dataset}.jsonl"
    params:
        code=code_digest(
            "tessera.pipeline.report.counts:count_splits",
            "tessera.pipeline.report.counts:count_step",
            "tessera.pipeline.report.counts:draw_dropped",
            "tessera.pipeline.report.counts:draw_funnel",
            "tessera.pipeline.report.counts:tabulate_steps",
            "tessera.core.ledger:read_ledger",
            "tessera.core.ledger:summarise",
        ),
    script:
        "../scripts/plot_funnel.py"


rule tabulate_refused:
    input:
        refused="<results>/sources/refused.tsv",
    output:
        table=report(
            "<results>/reports/refused.html",
            caption="../report/refused.rst",
            category="1. Footage",
            subcategory="sources",
            labels={"figure": "Refused sources"},
        ),
    log:
        "<logs>/tabulate_refused.log",
    benchmark:
        "<benchmarks>/tabulate_refused.jsonl"
    params:
        code=code_digest("tessera.pipeline.report.pages:tabulate_refused"),
    script:
        "../scripts/tabulate_refused.py"


# What is told of the samples of a dataset: the mosaics in them, and the watermarks drawn on them.
MOSAICS = {
    "mosaic_detection": expand(
        "<results>/mosaics/{shard}/mosaics.parquet", shard=SHARDS
    ),
}
MARKS = {
    "watermark_detection": expand(
        "<results>/watermarks/frames/{shard}/marks.parquet", shard=SHARDS
    ),
}


rule plot_samples:
    input:
        mosaics=of_dataset(MOSAICS),
        marks=of_dataset(MARKS),
        images="<results>/datasets/{dataset}/images",
        selected="<results>/annotations/{dataset}/images.parquet",
        regions="<results>/annotations/{dataset}/annotations.parquet",
        splits="<results>/datasets/{dataset}/splits.parquet",
    output:
        train=report(
            "<results>/reports/datasets/{dataset}/train.jpg",
            caption="../report/samples.rst",
            category="2. Samples",
            subcategory="{dataset}",
            labels={"figure": "1. Training split"},
        ),
        val=report(
            "<results>/reports/datasets/{dataset}/val.jpg",
            caption="../report/samples.rst",
            category="2. Samples",
            subcategory="{dataset}",
            labels={"figure": "2. Validation split"},
        ),
        test=report(
            "<results>/reports/datasets/{dataset}/test.jpg",
            caption="../report/samples.rst",
            category="2. Samples",
            subcategory="{dataset}",
            labels={"figure": "3. Test split"},
        ),
    log:
        "<logs>/plot_samples/{dataset}.log",
    benchmark:
        "<benchmarks>/plot_samples/{dataset}.jsonl"
    params:
        settings=lookup(dpath="report", within=config),
        seed=lookup(dpath="seed", within=config),
        code=code_digest(
            "tessera.pipeline.report.samples:describe_marks",
            "tessera.pipeline.report.samples:describe_mosaics",
            "tessera.pipeline.report.samples:draw_samples",
        ),
    script:
        "../scripts/plot_samples.py"


rule plot_clip_funnel:
    input:
        gates=expand("<results>/gates/{room}.json", room=["sources", "scenes", "clips"]),
        filtering="<results>/annotations/mosaic_restoration/ledger.jsonl",
        splits="<results>/datasets/mosaic_restoration/splits.parquet",
    output:
        funnel=report(
            "<results>/reports/datasets/mosaic_restoration/funnel.svg",
            caption="../report/clip_funnel.rst",
            category="1. Footage",
            subcategory="mosaic_restoration",
            labels={"figure": "1. From sources to clips"},
        ),
        table=report(
            "<results>/reports/datasets/mosaic_restoration/counts.html",
            caption="../report/counts.rst",
            category="1. Footage",
            subcategory="mosaic_restoration",
            labels={"figure": "2. From sources to clips, as a table"},
        ),
        dropped=report(
            "<results>/reports/datasets/mosaic_restoration/dropped.svg",
            caption="../report/dropped.rst",
            category="1. Footage",
            subcategory="mosaic_restoration",
            labels={"figure": "3. Left out, by reason"},
        ),
    log:
        "<logs>/plot_clip_funnel.log",
    benchmark:
        "<benchmarks>/plot_clip_funnel.jsonl"
    params:
        code=code_digest(
            "tessera.pipeline.report.counts:count_splits",
            "tessera.pipeline.report.counts:count_step",
            "tessera.pipeline.report.counts:draw_dropped",
            "tessera.pipeline.report.counts:draw_funnel",
            "tessera.pipeline.report.counts:tabulate_steps",
            "tessera.core.ledger:read_ledger",
            "tessera.core.ledger:summarise",
        ),
    script:
        "../scripts/plot_clip_funnel.py"


rule plot_clips:
    input:
        folders=[
            "<results>/datasets/mosaic_restoration/train",
            "<results>/datasets/mosaic_restoration/val",
            "<results>/datasets/mosaic_restoration/test",
        ],
        clips="<results>/datasets/mosaic_restoration/clips.parquet",
        splits="<results>/datasets/mosaic_restoration/splits.parquet",
    output:
        train=report(
            "<results>/reports/datasets/mosaic_restoration/train.jpg",
            caption="../report/clips.rst",
            category="2. Samples",
            subcategory="mosaic_restoration",
            labels={"figure": "1. Training split"},
        ),
        train_moving=report(
            "<results>/reports/datasets/mosaic_restoration/train.html",
            caption="../report/clips.rst",
            category="2. Samples",
            subcategory="mosaic_restoration",
            labels={"figure": "2. Training split, moving"},
        ),
        val=report(
            "<results>/reports/datasets/mosaic_restoration/val.jpg",
            caption="../report/clips.rst",
            category="2. Samples",
            subcategory="mosaic_restoration",
            labels={"figure": "3. Validation split"},
        ),
        val_moving=report(
            "<results>/reports/datasets/mosaic_restoration/val.html",
            caption="../report/clips.rst",
            category="2. Samples",
            subcategory="mosaic_restoration",
            labels={"figure": "4. Validation split, moving"},
        ),
        test=report(
            "<results>/reports/datasets/mosaic_restoration/test.jpg",
            caption="../report/clips.rst",
            category="2. Samples",
            subcategory="mosaic_restoration",
            labels={"figure": "5. Test split"},
        ),
        test_moving=report(
            "<results>/reports/datasets/mosaic_restoration/test.html",
            caption="../report/clips.rst",
            category="2. Samples",
            subcategory="mosaic_restoration",
            labels={"figure": "6. Test split, moving"},
        ),
    log:
        "<logs>/plot_clips.log",
    benchmark:
        "<benchmarks>/plot_clips.jsonl"
    params:
        settings=lookup(dpath="report", within=config),
        seed=lookup(dpath="seed", within=config),
        code=code_digest(
            "tessera.pipeline.report.clips:describe_clips",
            "tessera.pipeline.report.clips:draw_clips",
            "tessera.pipeline.report.clips:show_clips",
        ),
    script:
        "../scripts/plot_clips.py"


rule render_datasheet:
    input:
        datasheet="<results>/datasets/{dataset}/datasheet.md",
    output:
        page=report(
            "<results>/reports/datasets/{dataset}/datasheet.html",
            caption="../report/datasheet.rst",
            category="2. Samples",
            subcategory="{dataset}",
            labels={"figure": "Datasheet"},
        ),
    log:
        "<logs>/render_datasheet/{dataset}.log",
    benchmark:
        "<benchmarks>/render_datasheet/{dataset}.jsonl"
    wildcard_constraints:
        dataset="|".join([*DATASETS, "mosaic_restoration"]),
    params:
        code=code_digest("tessera.pipeline.report.pages:render_markdown"),
    script:
        "../scripts/render_datasheet.py"


rule show_curves:
    input:
        curves="<results>/training/{model}/curves",
    output:
        page=report(
            "<results>/reports/models/{model}/curves.html",
            caption="../report/curves.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "1. Curves"},
        ),
    log:
        "<logs>/show_curves/{model}.log",
    benchmark:
        "<benchmarks>/show_curves/{model}.jsonl"
    params:
        code=code_digest("tessera.pipeline.report.pages:show_pictures"),
    script:
        "../scripts/show_curves.py"


rule tabulate_metrics:
    input:
        metrics="<results>/metrics/{model}.json",
        exported="<results>/metrics/{model}.export.json",
    output:
        table=report(
            "<results>/reports/models/{model}/metrics.html",
            caption="../report/metrics.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "2. Metrics"},
        ),
    log:
        "<logs>/tabulate_metrics/{model}.log",
    benchmark:
        "<benchmarks>/tabulate_metrics/{model}.jsonl"
    wildcard_constraints:
        model="|".join([*DETECTORS, "mosaic_restoration"]),
    params:
        code=code_digest("tessera.pipeline.report.pages:tabulate_metrics"),
    script:
        "../scripts/tabulate_metrics.py"


def inference_size(wildcards):
    """Return the side in pixels at which a model looks at images."""
    settings = config["models"][wildcards.model]
    return settings["export"]["image_size"] or settings["training"]["imgsz"]


rule plot_predictions:
    input:
        images="<results>/datasets/{model}/images",
        selected="<results>/annotations/{model}/images.parquet",
        regions="<results>/annotations/{model}/annotations.parquet",
        splits="<results>/datasets/{model}/splits.parquet",
        weights="<results>/weights/{model}/{model}.pt",
        checksums="<results>/weights/{model}/SHA256SUMS",
    output:
        figure=report(
            "<results>/reports/models/{model}/predictions.jpg",
            caption="../report/predictions.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "3. Predictions"},
        ),
    log:
        "<logs>/plot_predictions/{model}.log",
    benchmark:
        "<benchmarks>/plot_predictions/{model}.jsonl"
    threads: 2
    resources:
        gpu=1,
    params:
        settings=lookup(dpath="report", within=config),
        seed=lookup(dpath="seed", within=config),
        confidence=lookup(dpath="preview/confidence", within=config),
        image_size=inference_size,
        code=code_digest(
            "tessera.pipeline.report.samples:draw_predictions",
            "tessera.imaging.detection.detector:Predictor",
        ),
    script:
        "../scripts/plot_predictions.py"


rule render_card:
    input:
        card="<results>/weights/{model}/card.md",
    output:
        page=report(
            "<results>/reports/models/{model}/card.html",
            caption="../report/card.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "4. Card"},
        ),
    log:
        "<logs>/render_card/{model}.log",
    benchmark:
        "<benchmarks>/render_card/{model}.jsonl"
    wildcard_constraints:
        model="|".join([*DETECTORS, "mosaic_restoration"]),
    params:
        code=code_digest("tessera.pipeline.report.pages:render_markdown"),
    script:
        "../scripts/render_card.py"


rule plot_stages:
    input:
        curves=expand(
            "<results>/training/mosaic_restoration/{stage}/curves.csv",
            stage=STAGES,
        ),
    output:
        figure=report(
            "<results>/reports/models/mosaic_restoration/stages.svg",
            caption="../report/stages.rst",
            category="3. Models",
            subcategory="mosaic_restoration",
            labels={"figure": "1. Curves of the stages"},
        ),
    log:
        "<logs>/plot_stages.log",
    benchmark:
        "<benchmarks>/plot_stages.jsonl"
    params:
        code=code_digest("tessera.pipeline.report.restoration:draw_stages"),
    script:
        "../scripts/plot_stages.py"


rule plot_methods:
    input:
        metrics="<results>/metrics/mosaic_restoration.json",
    output:
        figure=report(
            "<results>/reports/models/mosaic_restoration/methods.svg",
            caption="../report/methods.rst",
            category="3. Models",
            subcategory="mosaic_restoration",
            labels={"figure": "2. Beside simple methods"},
        ),
    log:
        "<logs>/plot_methods.log",
    benchmark:
        "<benchmarks>/plot_methods.jsonl"
    params:
        code=code_digest("tessera.pipeline.report.restoration:draw_methods"),
    script:
        "../scripts/plot_methods.py"


rule plot_restored:
    input:
        pictures="<results>/training/mosaic_restoration/pictures",
    output:
        val=report(
            "<results>/reports/models/mosaic_restoration/val.jpg",
            caption="../report/restored.rst",
            category="3. Models",
            subcategory="mosaic_restoration",
            labels={"figure": "3. Restored, validation split"},
        ),
        val_moving=report(
            "<results>/reports/models/mosaic_restoration/val.html",
            caption="../report/restored.rst",
            category="3. Models",
            subcategory="mosaic_restoration",
            labels={"figure": "4. Restored, validation split, moving"},
        ),
        test=report(
            "<results>/reports/models/mosaic_restoration/test.jpg",
            caption="../report/restored.rst",
            category="3. Models",
            subcategory="mosaic_restoration",
            labels={"figure": "5. Restored, test split"},
        ),
        test_moving=report(
            "<results>/reports/models/mosaic_restoration/test.html",
            caption="../report/restored.rst",
            category="3. Models",
            subcategory="mosaic_restoration",
            labels={"figure": "6. Restored, test split, moving"},
        ),
    log:
        "<logs>/plot_restored.log",
    benchmark:
        "<benchmarks>/plot_restored.jsonl"
    params:
        settings=lookup(dpath="report", within=config),
        code=code_digest(
            "tessera.pipeline.report.restoration:draw_restored",
            "tessera.pipeline.report.restoration:show_restored",
        ),
    script:
        "../scripts/plot_restored.py"


# Measurements are not inputs: were they, deleting one would train a model again. Drawn anew when something was made anew.
rule plot_timings:
    input:
        made=[
            *expand("<results>/weights/{model}/SHA256SUMS", model=MODELS),
            *CLIPS,
        ],
    output:
        timings=report(
            "<results>/reports/timings.svg",
            caption="../report/timings.rst",
            category="4. Cost",
            labels={"figure": "Time and memory"},
        ),
    log:
        "<logs>/plot_timings.log",
    benchmark:
        "<benchmarks>/plot_timings.jsonl"
    params:
        benchmarks=workflow.pathvars.apply("<benchmarks>"),
        rules=TIMED,
        shards=list(SHARDS),
        code=code_digest("tessera.pipeline.report.timings:draw_timings"),
    script:
        "../scripts/plot_timings.py"


rule report:
    input:
        figures=[
            "<results>/reports/refused.html",
            *expand(
                "<results>/reports/datasets/{dataset}/{figure}",
                dataset=DATASETS,
                figure=[
                    "funnel.svg",
                    "counts.html",
                    "dropped.svg",
                    "train.jpg",
                    "val.jpg",
                    "test.jpg",
                    "datasheet.html",
                ],
            ),
            *expand(
                "<results>/reports/models/{model}/{figure}",
                model=DETECTORS,
                figure=["curves.html", "metrics.html", "predictions.jpg", "card.html"],
            ),
            *expand(
                "<results>/reports/datasets/mosaic_restoration/{figure}",
                figure=(
                    [
                        "funnel.svg",
                        "counts.html",
                        "dropped.svg",
                        "train.jpg",
                        "train.html",
                        "val.jpg",
                        "val.html",
                        "test.jpg",
                        "test.html",
                        "datasheet.html",
                    ]
                    if CLIPS
                    else []
                ),
            ),
            *expand(
                "<results>/reports/models/mosaic_restoration/{figure}",
                figure=(
                    [
                        "stages.svg",
                        "methods.svg",
                        "val.jpg",
                        "val.html",
                        "test.jpg",
                        "test.html",
                        "metrics.html",
                        "card.html",
                    ]
                    if STAGES
                    else []
                ),
            ),
            "<results>/reports/timings.svg",
        ],
    output:
        report="<results>/reports/report.html",
    log:
        "<logs>/report.log",
    benchmark:
        "<benchmarks>/report.jsonl"
    localrule: True
    params:
        snakefile=os.path.relpath(workflow.main_snakefile),
        captions=digest(
            {path.name: path.read_text("utf-8") for path in CAPTIONS.glob("*.rst")}
        ),
        code=code_digest("tessera.pipeline.report.report:make_report"),
    script:
        "../scripts/report.py"
