# Datasets of pictures, each with a class or a score, with a datasheet.

from tessera.catalogue import PICTURES
from tessera.core.definitions import code_digest


def pictures_of(wildcards):
    """Return the settings of where the pictures of a dataset come from."""
    return config["classifiers"][wildcards.dataset]["pictures"]


def from_sets(wildcards, file):
    """Return this file of each set of labelled images that feeds a dataset."""
    sets = [file_name(name) for name in pictures_of(wildcards)["sets"]]
    # If nothing else is there, the error names the set of the answers.
    sets = [name for name in sets if name in READABLE] or sets
    return expand(f"<results>/labels/images/{{set}}/{file}", set=sets)


def labels_of_pictures(wildcards):
    """Return the tables of the labelled images and of the degraded frames that feed a dataset."""
    degraded = SHARDS if wildcards.dataset in CONCEPTS else []
    return [
        *from_sets(wildcards, "labels.parquet"),
        *expand(
            f"<results>/concepts/{{shard}}/{wildcards.dataset}/labels.parquet",
            shard=degraded,
        ),
    ]


def regions_of(table):
    """Return a function that returns the file `table` of the dataset of regions that feeds a dataset, if there is one."""

    def given(wildcards):
        regions = pictures_of(wildcards)["regions"]
        return (
            f"<results>/selections/{regions['dataset']}/{table}.parquet"
            if regions
            else []
        )

    return given


rule select_pictures:
    input:
        labels=labels_of_pictures,
        imported=lambda wildcards: from_sets(wildcards, "ledger.jsonl"),
        region_images=regions_of("images"),
        regions=regions_of("annotations"),
        sources="<results>/sources/admitted.parquet",
        divided="<results>/datasets/splits.parquet",
        gates=of_dataset(
            lambda dataset: expand("<results>/gates/{room}.json", room=dataset.gates)
        ),
    output:
        pictures="<results>/selections/{dataset}/pictures.parquet",
        ledger="<results>/selections/{dataset}/ledger.jsonl",
        matched="<results>/selections/{dataset}/decisions.jsonl",
    log:
        "<logs>/select_pictures/{dataset}.log",
    benchmark:
        "<benchmarks>/select_pictures/{dataset}.jsonl"
    wildcard_constraints:
        dataset=laid_out_as(PICTURES),
    params:
        frame_decisions=rows_of(FRAME_DECISIONS),
        # A decision to keep a label changes no dataset.
        decisions=lambda wildcards: decisions_on_pictures(
            wildcards.dataset, "drop", "relabel"
        ),
        settings=pictures_of,
        labels=lambda wildcards: config["classifiers"][wildcards.dataset]["labels"],
        remedy=of_dataset(lambda dataset: dataset.remedy),
        distance=lookup(dpath="duplicates/distance", within=config),
        splits=lookup(dpath="splits", within=config),
        code=code_digest("tessera.stages.datasets.pictures:select_pictures"),
    script:
        "../scripts/select_pictures.py"


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
        dataset=laid_out_as(PICTURES),
    params:
        code=code_digest("tessera.stages.datasets.pictures:write_picture_dataset"),
    script:
        "../scripts/write_picture_dataset.py"
