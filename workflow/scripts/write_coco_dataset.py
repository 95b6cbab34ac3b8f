"""Write the annotations of a dataset as COCO."""

from tessera.annotations.dataset import write_coco_dataset
from tessera.job import job

with job(snakemake) as (inputs, outputs, params):
    write_coco_dataset(inputs.images, inputs.annotations, inputs.splits, params.classes, outputs.coco)
