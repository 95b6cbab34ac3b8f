"""Stop the run where a source that was asked for cannot be previewed, and say why."""

from tessera.core.job import job
from tessera.pipeline.previews.rendering import gate_previews

with job(snakemake) as (inputs, outputs, params):
    gate_previews(inputs.ledgers, params.asked, **vars(outputs))
