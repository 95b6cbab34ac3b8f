"""Write down what a dataset holds and where it comes from."""

from tessera.datasheets import write_datasheet
from tessera.job import job

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
