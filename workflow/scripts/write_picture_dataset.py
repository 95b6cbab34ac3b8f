"""Write a dataset of pictures."""

from tessera.core.job import job
from tessera.stages.datasets.pictures import write_picture_dataset

with job(snakemake) as (inputs, outputs, params):
    write_picture_dataset(**vars(inputs), **vars(outputs))
