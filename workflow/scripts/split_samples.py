"""Decide which samples train, which validate and which test."""

from tessera.job import job
from tessera.splits import SplitSettings, split_samples

with job(snakemake) as (inputs, outputs, params):
    settings = SplitSettings(**params.settings)
    split_samples(inputs.samples, inputs.candidates, inputs.duplicates, params.order, settings, outputs.splits)
