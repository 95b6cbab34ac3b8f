"""Remove what was made of sources that are no longer in the manifest."""

from tessera.job import job
from tessera.sources import remove_withdrawn

with job(snakemake) as (inputs, outputs, params):
    remove_withdrawn(outputs.withdrawn.parents[1], params.shards, **vars(outputs))
