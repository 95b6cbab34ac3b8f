"""Write down what the clips show and where they come from."""

from tessera.core.job import job
from tessera.pipeline.datasets.datasheets import write_clip_datasheet

with job(snakemake) as (inputs, outputs, params):
    write_clip_datasheet(
        inputs.clips,
        inputs.scores,
        inputs.splits,
        inputs.sources,
        inputs.filtering,
        params.settings,
        outputs.data,
        outputs.text,
    )
