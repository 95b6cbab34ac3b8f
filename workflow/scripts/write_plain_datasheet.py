"""Write the datasheet of a dataset of any kind."""

from tessera.core.job import job
from tessera.stages.datasets.datasheets import write_plain_datasheet

with job(snakemake) as (inputs, outputs, params):
    write_plain_datasheet(
        dataset=snakemake.wildcards.dataset,
        samples=params.samples,
        splits=inputs.splits,
        sources=inputs.sources,
        pictures=inputs.pictures or None,
        sets=params.sets,
        settings=params.settings,
        **vars(outputs),
    )
