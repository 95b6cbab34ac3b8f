"""Write the datasheet of a dataset of clips."""

from tessera.core.job import job
from tessera.stages.datasets.datasheets import write_clip_datasheet

with job(snakemake) as (inputs, outputs, params):
    write_clip_datasheet(
        dataset=snakemake.wildcards.dataset, **vars(inputs), settings=params.settings, data=outputs.data, text=outputs.text
    )
