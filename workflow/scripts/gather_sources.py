"""Gather the ledgers of admission of all shards, and list the refused sources."""

from pathlib import Path

from tessera.core.job import job
from tessera.stages.footage.admission import gather_sources

with job(snakemake) as (inputs, outputs, params):
    unrestored = [Path(folder) for folder in params.unrestored]
    gather_sources(**vars(inputs), order=params.order, unrestored=unrestored, **vars(outputs))
