"""Remove what was made of sources that are no longer in the manifest."""

from pathlib import Path

from tessera.annotations.proposals import withdraw
from tessera.job import job
from tessera.sources import remove_withdrawn

with job(snakemake) as (inputs, outputs, params):
    proposed, edited = withdraw(Path(params.proposals), params.sources)
    remove_withdrawn(outputs.withdrawn.parents[1], params.shards, proposed, edited, **vars(outputs))
