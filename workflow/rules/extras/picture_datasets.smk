# Datasets of pictures, each with a class or a score, with a datasheet.

from tessera.catalogue import PICTURES
from tessera.workflow.classifiers import (
    corrected_labels,
    from_sets,
    labels_of_dataset,
    labels_of_pictures,
    pictures_of,
    regions_of,
)
from tessera.workflow.code import digest_of_script
from tessera.workflow.datasets import gates_of
from tessera.workflow.labels import rows_of
from tessera.workflow.project import project_of

project = project_of(config)


rule select_pictures:
    input:
        labels=project.of_job(labels_of_pictures),
        imported=project.of_job(from_sets, "ledger.jsonl"),
        region_images=project.of_job(regions_of, "images"),
        regions=project.of_job(regions_of, "annotations"),
        sources="<results>/sources/admitted.parquet",
        divided="<results>/datasets/splits.parquet",
        gates=project.of_job(gates_of),
    output:
        pictures="<results>/selections/{dataset}/pictures.parquet",
        ledger="<results>/selections/{dataset}/ledger.jsonl",
        matched="<results>/selections/{dataset}/decisions.jsonl",
    log:
        "<logs>/select_pictures/{dataset}.log",
    benchmark:
        "<benchmarks>/select_pictures/{dataset}.jsonl"
    wildcard_constraints:
        dataset=project.datasets_with_layout(PICTURES),
    params:
        frame_decisions=rows_of(project.decided.frames),
        decisions=project.of_job(corrected_labels),
        settings=project.of_job(pictures_of),
        labels=project.of_job(labels_of_dataset),
        remedy=project.of_dataset(lambda dataset: dataset.empty_hint),
        distance=lookup(dpath="duplicates/distance", within=config),
        splits=lookup(dpath="splits", within=config),
        code=digest_of_script("select_pictures"),
    script:
        "../../scripts/select_pictures.py"


rule write_picture_dataset:
    input:
        selected="<results>/selections/{dataset}/pictures.parquet",
        splits="<results>/datasets/{dataset}/splits.parquet",
    output:
        images=directory("<results>/datasets/{dataset}/images"),
        table="<results>/datasets/{dataset}/pictures.parquet",
    log:
        "<logs>/write_picture_dataset/{dataset}.log",
    benchmark:
        "<benchmarks>/write_picture_dataset/{dataset}.jsonl"
    wildcard_constraints:
        dataset=project.datasets_with_layout(PICTURES),
    params:
        code=digest_of_script("write_picture_dataset"),
    script:
        "../../scripts/write_picture_dataset.py"
