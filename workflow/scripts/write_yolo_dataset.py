"""Write a dataset of images for ultralytics."""

from tessera.core.job import job
from tessera.stages.datasets.images import write_yolo_dataset

with job(snakemake) as (inputs, outputs, params):
    write_yolo_dataset(
        images=inputs.images,
        annotations=inputs.annotations,
        splits=inputs.splits,
        made=inputs.made,
        classes=params.classes,
        task=params.task,
        pictures=outputs.images,
        labels=outputs.labels,
        description=outputs.description,
        ledger=outputs.ledger,
    )
