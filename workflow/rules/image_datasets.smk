# Datasets of images, in YOLO layout and as COCO, with a datasheet.

from tessera.catalogue import IMAGES, label_task, sets_of, settings_of
from tessera.core.definitions import code_digest


def samples_of(table):
    """Return a function of the wildcards that returns the files `table` of all samples of a dataset."""
    return of_dataset(
        lambda dataset: [
            *set_places(table, [dataset.name]),
            *(f"{folder}/{table}" for folder in places(*dataset.samples)),
        ]
    )


def drops_of(dataset):
    """Return the limits of what classifiers see in the frames of a dataset, by the name of the classifier."""
    return config["drops"].get(dataset.name, {})


rule select_samples:
    input:
        images=samples_of("images.parquet"),
        annotations=samples_of("annotations.parquet"),
        duplicates=of_dataset(
            lambda dataset: (
                tables_of_duplicates(None) if dataset.drops_duplicates else []
            )
        ),
        splits=of_dataset(
            lambda dataset: (
                "<results>/datasets/splits.parquet"
                if dataset.backgrounds(config) < 1
                else []
            )
        ),
        scored=of_dataset(
            lambda dataset: expand(
                "<results>/scores/frames/{shard}/{classifier}.parquet",
                shard=SHARDS,
                classifier=drops_of(dataset),
            )
        ),
        metrics=of_dataset(lambda dataset: metrics_of(drops_of(dataset))),
        sources="<results>/sources/admitted.parquet",
        gates=of_dataset(
            lambda dataset: expand(
                "<results>/gates/{room}.json",
                room=[*dataset.gates, *(["scores"] if drops_of(dataset) else [])],
            )
        ),
    output:
        images="<results>/selections/{dataset}/images.parquet",
        annotations="<results>/selections/{dataset}/annotations.parquet",
        ledger="<results>/selections/{dataset}/ledger.jsonl",
    log:
        "<logs>/select_samples/{dataset}.log",
    benchmark:
        "<benchmarks>/select_samples/{dataset}.jsonl"
    wildcard_constraints:
        dataset=laid_out_as(IMAGES),
    params:
        decisions=rows_of(FRAME_DECISIONS),
        drops=of_dataset(drops_of),
        backgrounds=of_dataset(lambda dataset: dataset.backgrounds(config)),
        classes=of_dataset(lambda dataset: dataset.classes(config)),
        task=of_dataset(lambda dataset: label_task(dataset, config)),
        remedy=of_dataset(lambda dataset: dataset.remedy),
        code=code_digest(
            "tessera.stages.datasets.images:select_samples",
            "tessera.records.limits:ScoreLimit",
        ),
    script:
        "../scripts/select_samples.py"


rule write_yolo_dataset:
    input:
        images="<results>/selections/{dataset}/images.parquet",
        annotations="<results>/selections/{dataset}/annotations.parquet",
        splits="<results>/datasets/{dataset}/splits.parquet",
        # The images that the tables name.
        made=of_dataset(
            lambda dataset: [
                *set_places("pictures", [dataset.name]),
                *places(*dataset.pictures),
            ]
        ),
    output:
        images=directory("<results>/datasets/{dataset}/images"),
        labels=directory("<results>/datasets/{dataset}/labels"),
        description="<results>/datasets/{dataset}/dataset.yaml",
        ledger="<results>/datasets/{dataset}/ledger.jsonl",
    log:
        "<logs>/write_yolo_dataset/{dataset}.log",
    benchmark:
        "<benchmarks>/write_yolo_dataset/{dataset}.jsonl"
    wildcard_constraints:
        dataset=laid_out_as(IMAGES),
    params:
        classes=of_dataset(lambda dataset: dataset.classes(config)),
        task=of_dataset(lambda dataset: label_task(dataset, config)),
        code=code_digest("tessera.stages.datasets.images:write_yolo_dataset"),
    script:
        "../scripts/write_yolo_dataset.py"


rule write_coco_dataset:
    input:
        images="<results>/selections/{dataset}/images.parquet",
        annotations="<results>/selections/{dataset}/annotations.parquet",
        splits="<results>/datasets/{dataset}/splits.parquet",
    output:
        coco="<results>/datasets/{dataset}/coco.json",
    log:
        "<logs>/write_coco_dataset/{dataset}.log",
    benchmark:
        "<benchmarks>/write_coco_dataset/{dataset}.jsonl"
    wildcard_constraints:
        dataset=laid_out_as(IMAGES),
    params:
        classes=of_dataset(lambda dataset: dataset.classes(config)),
        code=code_digest("tessera.stages.datasets.images:write_coco_dataset"),
    script:
        "../scripts/write_coco_dataset.py"


ruleorder: write_datasheet > write_plain_datasheet


rule write_datasheet:
    input:
        images="<results>/selections/{dataset}/images.parquet",
        annotations="<results>/selections/{dataset}/annotations.parquet",
        splits="<results>/datasets/{dataset}/splits.parquet",
        sources="<results>/sources/admitted.parquet",
        selection="<results>/selections/{dataset}/ledger.jsonl",
        writing="<results>/datasets/{dataset}/ledger.jsonl",
        mosaics=of_dataset(lambda dataset: places(*drawn(dataset, "mosaics"))),
        labels=of_dataset(lambda dataset: set_places("counts.parquet", [dataset.name])),
    output:
        data="<results>/datasets/{dataset}/datasheet.json",
        text="<results>/datasets/{dataset}/datasheet.md",
    log:
        "<logs>/write_datasheet/{dataset}.log",
    benchmark:
        "<benchmarks>/write_datasheet/{dataset}.jsonl"
    wildcard_constraints:
        dataset=laid_out_as(IMAGES),
    params:
        settings=of_dataset(lambda dataset: settings_of(dataset, config)),
        sets=of_dataset(lambda dataset: sets_of(dataset, config)),
        code=code_digest("tessera.stages.datasets.datasheets:write_datasheet"),
    script:
        "../scripts/write_datasheet.py"


rule plot_samples:
    input:
        mosaics=of_dataset(lambda dataset: places(*drawn(dataset, "mosaics"))),
        marks=of_dataset(lambda dataset: places(*drawn(dataset, "marks"))),
        images="<results>/datasets/{dataset}/images",
        selected="<results>/selections/{dataset}/images.parquet",
        regions="<results>/selections/{dataset}/annotations.parquet",
        splits="<results>/datasets/{dataset}/splits.parquet",
        sources="<results>/sources/admitted.parquet",
    output:
        # A folder, because a split may have no samples.
        samples=report(
            directory("<results>/reports/datasets/{dataset}/samples"),
            patterns=["{split}.html"],
            caption="../report/samples.rst",
            category="2. Samples",
            subcategory="{dataset}",
            labels={"figure": "2. Samples, {split}"},
        ),
    log:
        "<logs>/plot_samples/{dataset}.log",
    benchmark:
        "<benchmarks>/plot_samples/{dataset}.jsonl"
    wildcard_constraints:
        dataset=laid_out_as(IMAGES),
    params:
        settings=lookup(dpath="report", within=config),
        sets=content_of_sets,
        seed=lookup(dpath="seed", within=config),
        code=code_digest(
            "tessera.pages.report.samples:describe_marks",
            "tessera.pages.report.samples:describe_mosaics",
            "tessera.pages.report.samples:draw_samples",
            "tessera.pages.report.tiles:choose_shown",
        ),
    script:
        "../scripts/plot_samples.py"
