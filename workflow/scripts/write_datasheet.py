"""Write the datasheet of a dataset of images."""

from tessera.core.job import job
from tessera.stages.datasets.datasheets import write_datasheet

with job(snakemake) as (inputs, outputs, params):
    write_datasheet(
        dataset=snakemake.wildcards.dataset, **vars(inputs), sets=params.sets, settings=params.settings, **vars(outputs)
    )
