"""Examine the sources of a shard, and admit those that may be used."""

from tessera.core.job import job
from tessera.stages.footage.admission import SourceSettings, admit_sources

with job(snakemake) as (inputs, outputs, params):
    admit_sources(
        rows=params.rows,
        shard=snakemake.wildcards.shard,
        blocklist=inputs.blocklist,
        settings=SourceSettings(**params.settings),
        **vars(outputs),
    )
