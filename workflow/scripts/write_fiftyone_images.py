"""Write a dataset of images for FiftyOne."""

from pathlib import Path

from tessera.core.job import job
from tessera.stages.datasets.fiftyone import write_fiftyone_images

with job(snakemake) as (inputs, outputs, params):
    write_fiftyone_images(
        **vars(inputs),
        name=f"tessera-{snakemake.wildcards.dataset}",
        final_folder=Path(snakemake.output.samples).parent,
        **vars(outputs),
    )
