"""Stop the run if a requested source cannot be previewed, and report the reason."""

from tessera.core.job import job
from tessera.pipeline.previews.rendering import gate_previews

with job(snakemake) as (inputs, outputs, params):
    gate_previews(inputs.ledgers, params.asked, **vars(outputs))
