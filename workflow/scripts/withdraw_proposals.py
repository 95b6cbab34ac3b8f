"""Remove proposals for sources that are no longer in the manifest, except those that a person has edited."""

from pathlib import Path

from tessera.core.job import job
from tessera.stages.labels.proposals import withdraw_proposals

with job(snakemake) as (inputs, outputs, params):
    withdraw_proposals(folder=Path(params.folder), sources=params.sources, **vars(outputs))
