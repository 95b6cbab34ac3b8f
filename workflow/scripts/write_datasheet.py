"""Write down what a dataset holds and where it comes from."""

from tessera.core.job import job
from tessera.pipeline.datasets.datasheets import write_datasheet

with job(snakemake) as (inputs, outputs, params):
    write_datasheet(
        snakemake.wildcards.dataset,
        inputs.images,
        inputs.annotations,
        inputs.splits,
        inputs.sources,
        inputs.selection,
        inputs.writing,
        params.sets,
        params.settings,
        outputs.data,
        outputs.text,
    )
