"""Look up which clips train, which validate and which test."""

from tessera.core.job import job
from tessera.pipeline.datasets.splits import SplitSettings, split_samples
from tessera.records.tables.clips import Clips

with job(snakemake) as (inputs, outputs, params):
    split_samples(inputs.clips, inputs.sources, SplitSettings(**params.settings), outputs.splits, Clips)
