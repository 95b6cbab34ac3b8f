"""Remove what was made of sources that are no longer in the manifest."""

from pathlib import Path

from tessera.core.job import job
from tessera.pipeline.footage.withdrawal import remove_withdrawn
from tessera.pipeline.previews.proposals import withdraw

with job(snakemake) as (inputs, outputs, params):
    proposed, edited = withdraw(Path(params.proposals), params.sources)
    remove_withdrawn(outputs.withdrawn.parents[1], params.shards, proposed, edited, **vars(outputs))
