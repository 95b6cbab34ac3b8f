"""Write the dataset as a folder per class."""

from tessera.core.job import job
from tessera.extras.brightness.samples import write_image_folders

with job(snakemake) as (inputs, outputs, params):
    write_image_folders(selected=inputs.selected, splits=inputs.splits, **vars(outputs))
