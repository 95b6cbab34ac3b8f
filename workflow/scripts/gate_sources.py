"""Let the admitted sources through, unless too many failed."""

from tessera.core.job import job
from tessera.pipeline.footage.admission import gate_sources

with job(snakemake) as (inputs, outputs, params):
    gate_sources(table=inputs.table, ledgers=inputs.ledgers, max_failed=params.max_failed, **vars(outputs))
