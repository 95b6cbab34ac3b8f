"""Gather the ledgers of admission of all shards, and list the refused sources."""

from tessera.core.job import job
from tessera.stages.footage.admission import gather_sources

with job(snakemake) as (inputs, outputs, params):
    gather_sources(**vars(inputs), order=params.order, **vars(outputs))
