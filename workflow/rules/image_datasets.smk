# Datasets of images, in YOLO layout and as COCO, with a datasheet.

from tessera.catalogue import IMAGES, label_task, sets_of, settings_of
from tessera.workflow.code import digest_of_script
from tessera.workflow.datasets import (
    drawn_on,
    drops_of,
    duplicates_of,
    gates_of,
    metrics_of_drops,
    pictures_of_samples,
    samples_of,
    scores_of_frames,
    splits_of_backgrounds,
)
from tessera.workflow.labels import rows_of
from tessera.workflow.project import project_of

project = project_of(config)


rule select_samples:
    input:
        images=project.of_job(samples_of, "images.parquet"),
        annotations=project.of_job(samples_of, "annotations.parquet"),
        duplicates=project.of_job(duplicates_of),
        splits=project.of_job(splits_of_backgrounds),
        scored=project.of_job(scores_of_frames),
        metrics=project.of_job(metrics_of_drops),
        sources="<results>/sources/admitted.parquet",
        gates=project.of_job(gates_of),
    output:
        images="<results>/selections/{dataset}/images.parquet",
        annotations="<results>/selections/{dataset}/annotations.parquet",
        ledger="<results>/selections/{dataset}/ledger.jsonl",
    log:
        "<logs>/select_samples/{dataset}.log",
    benchmark:
        "<benchmarks>/select_samples/{dataset}.jsonl"
    wildcard_constraints:
        dataset=project.datasets_with_layout(IMAGES),
    params:
        decisions=rows_of(project.decided.frames),
        drops=project.of_job(drops_of),
        backgrounds=project.of_dataset(lambda dataset: dataset.backgrounds(config)),
        classes=project.of_dataset(lambda dataset: dataset.classes(config)),
        task=project.of_dataset(lambda dataset: label_task(dataset, config)),
        remedy=project.of_dataset(lambda dataset: dataset.empty_hint),
        code=digest_of_script("select_samples"),
    script:
        "../scripts/select_samples.py"


rule write_yolo_dataset:
    input:
        images="<results>/selections/{dataset}/images.parquet",
        annotations="<results>/selections/{dataset}/annotations.parquet",
        splits="<results>/datasets/{dataset}/splits.parquet",
        # The images that the tables name.
        made=project.of_job(pictures_of_samples),
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
        dataset=project.datasets_with_layout(IMAGES),
    params:
        classes=project.of_dataset(lambda dataset: dataset.classes(config)),
        task=project.of_dataset(lambda dataset: label_task(dataset, config)),
        code=digest_of_script("write_yolo_dataset"),
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
        dataset=project.datasets_with_layout(IMAGES),
    params:
        classes=project.of_dataset(lambda dataset: dataset.classes(config)),
        code=digest_of_script("write_coco_dataset"),
    script:
        "../scripts/write_coco_dataset.py"


rule write_datasheet:
    input:
        images="<results>/selections/{dataset}/images.parquet",
        annotations="<results>/selections/{dataset}/annotations.parquet",
        splits="<results>/datasets/{dataset}/splits.parquet",
        sources="<results>/sources/admitted.parquet",
        selection="<results>/selections/{dataset}/ledger.jsonl",
        writing="<results>/datasets/{dataset}/ledger.jsonl",
        mosaics=project.of_dataset(
            lambda dataset: drawn_on(project, dataset, "mosaics")
        ),
        labels=project.of_dataset(
            lambda dataset: project.of_labelled_sets("counts.parquet", [dataset.name])
        ),
    output:
        data="<results>/datasets/{dataset}/datasheet.json",
        text="<results>/datasets/{dataset}/datasheet.md",
    log:
        "<logs>/write_datasheet/{dataset}.log",
    benchmark:
        "<benchmarks>/write_datasheet/{dataset}.jsonl"
    wildcard_constraints:
        dataset=project.datasets_described_by("write_datasheet"),
    params:
        settings=project.of_dataset(lambda dataset: settings_of(dataset, config)),
        sets=project.of_dataset(lambda dataset: sets_of(dataset, config)),
        code=digest_of_script("write_datasheet"),
    script:
        "../scripts/write_datasheet.py"
