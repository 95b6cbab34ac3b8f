"""Look up which clips train, which validate and which test."""

from tessera.job import job
from tessera.splits import SplitSettings, split_samples
from tessera.tables import Clips

with job(snakemake) as (inputs, outputs, params):
    split_samples(inputs.clips, inputs.sources, SplitSettings(**params.settings), outputs.splits, Clips)
