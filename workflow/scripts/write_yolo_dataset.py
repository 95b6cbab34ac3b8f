"""Write images and labels as ultralytics reads them."""

from tessera.core.job import job
from tessera.pipeline.datasets.images import write_yolo_dataset

with job(snakemake) as (inputs, outputs, params):
    write_yolo_dataset(
        inputs.images,
        inputs.annotations,
        inputs.splits,
        params.classes,
        params.task,
        outputs.images,
        outputs.labels,
        outputs.description,
        outputs.ledger,
    )
