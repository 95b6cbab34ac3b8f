"""Stop the run if a source cannot be restored, and say where the restored videos lie."""

from tessera.core.job import job
from tessera.stages.restore.restored import gate_restored

with job(snakemake) as (inputs, outputs, params):
    gate_restored(
        **vars(inputs),
        sources=params.sources,
        starters=params.starters,
        max_regions=params.max_regions,
        **vars(outputs),
    )
