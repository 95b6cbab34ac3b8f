"""Look up which samples of a dataset train, which validate and which test."""

from tessera.core.job import job
from tessera.pipeline.datasets.splits import SplitSettings, split_samples
from tessera.records.tables.annotation import Images

with job(snakemake) as (inputs, outputs, params):
    split_samples(inputs.samples, inputs.sources, SplitSettings(**params.settings), outputs.splits, Images)
