# Datasets as FiftyOne reads them, on request. `snakemake fiftyone`

from tessera.catalogue import CLIPS, IMAGES
from tessera.workflow.code import digest_of_script
from tessera.workflow.project import project_of, require_sources_or_images

project = project_of(config)


localrules:
    fiftyone,


rule fiftyone:
    "the datasets as FiftyOne reads them"
    input:
        project.of_job(require_sources_or_images),
        expand(
            "<results>/fiftyone/{dataset}/samples.json",
            dataset=[
                name
                for name, each in project.datasets.items()
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
        dataset=project.datasets_with_layout(IMAGES),
    params:
        code=digest_of_script("write_fiftyone_images"),
    script:
        "../../scripts/write_fiftyone_images.py"


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
        dataset=project.datasets_with_layout(CLIPS),
    params:
        code=digest_of_script("write_fiftyone_clips"),
    script:
        "../../scripts/write_fiftyone_clips.py"
