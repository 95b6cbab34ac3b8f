"""Stop the run where a source that was asked for cannot be previewed, and say why."""

from tessera.job import job
from tessera.previews import gate_previews

with job(snakemake) as (inputs, outputs, params):
    gate_previews(inputs.ledgers, params.asked, **vars(outputs))
