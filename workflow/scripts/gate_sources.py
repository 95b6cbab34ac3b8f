"""Let the admitted sources through, unless too many failed."""

from tessera.core.job import job
from tessera.pipeline.footage.admission import gate_sources

with job(snakemake) as (inputs, outputs, params):
    gate_sources(inputs.table, inputs.ledgers, params.max_failed, **vars(outputs))
