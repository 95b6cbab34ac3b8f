"""Measure how bright the frames of a shard are."""

from tessera.core.job import job
from tessera.extras.brightness.samples import measure_brightness

with job(snakemake) as (inputs, outputs, params):
    measure_brightness(**vars(inputs), datasets=params.datasets, **vars(outputs))
