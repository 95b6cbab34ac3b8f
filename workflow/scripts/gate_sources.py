"""Write the admitted sources, and stop the run if too many failed."""

from tessera.core.job import job
from tessera.stages.footage.admission import gate_sources

with job(snakemake) as (inputs, outputs, params):
    gate_sources(**vars(inputs), max_failed=params.max_failed, **vars(outputs))
