"""Decide which sources train, which validate and which test, for all datasets."""

from tessera.core.job import job
from tessera.pipeline.datasets.splits import SplitSettings, divide_sources

with job(snakemake) as (inputs, outputs, params):
    settings = SplitSettings(**params.settings)
    divide_sources(inputs.sources, inputs.labelled, inputs.frames, inputs.duplicates, params.order, settings, outputs.splits)
