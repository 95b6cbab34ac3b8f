"""Gather the sources of all shards, and list those that were refused."""

from tessera.core.job import job
from tessera.pipeline.footage.admission import gather_sources

with job(snakemake) as (inputs, outputs, params):
    gather_sources(**vars(inputs), order=params.order, **vars(outputs))
