# Datasets as FiftyOne reads them, on request. `snakemake fiftyone`

from tessera.catalogue import CLIPS, IMAGES
from tessera.core.definitions import code_digest


localrules:
    fiftyone,


rule fiftyone:
    input:
        footage_or_images,
        expand(
            "<results>/fiftyone/{dataset}/samples.json",
            dataset=[
                name
                for name, each in DATASETS.items()
                if each.layout in (IMAGES, CLIPS)
            ],
        ),


rule write_fiftyone_images:
    input:
        images="<results>/selections/{dataset}/images.parquet",
        annotations="<results>/selections/{dataset}/annotations.parquet",
        splits="<results>/datasets/{dataset}/splits.parquet",
        pictures="<results>/datasets/{dataset}/images",
    output:
        metadata="<results>/fiftyone/{dataset}/metadata.json",
        samples="<results>/fiftyone/{dataset}/samples.json",
    log:
        "<logs>/write_fiftyone_images/{dataset}.log",
    benchmark:
        "<benchmarks>/write_fiftyone_images/{dataset}.jsonl"
    wildcard_constraints:
        dataset=laid_out_as(IMAGES),
    params:
        code=code_digest("tessera.stages.datasets.fiftyone:write_fiftyone_images"),
    script:
        "../scripts/write_fiftyone_images.py"


rule write_fiftyone_clips:
    input:
        clips="<results>/datasets/{dataset}/clips.parquet",
        scores="<results>/selections/{dataset}/scores.parquet",
        folders=expand(
            "<results>/datasets/{{dataset}}/{split}", split=["train", "val", "test"]
        ),
    output:
        metadata="<results>/fiftyone/{dataset}/metadata.json",
        samples="<results>/fiftyone/{dataset}/samples.json",
        frames=directory("<results>/fiftyone/{dataset}/frames"),
    log:
        "<logs>/write_fiftyone_clips/{dataset}.log",
    benchmark:
        "<benchmarks>/write_fiftyone_clips/{dataset}.jsonl"
    wildcard_constraints:
        dataset=laid_out_as(CLIPS),
    params:
        code=code_digest("tessera.stages.datasets.fiftyone:write_fiftyone_clips"),
    script:
        "../scripts/write_fiftyone_clips.py"
