"""Write the annotations of a dataset as COCO."""

from tessera.core.job import job
from tessera.stages.datasets.images import write_coco_dataset

with job(snakemake) as (inputs, outputs, params):
    write_coco_dataset(**vars(inputs), classes=params.classes, **vars(outputs))
