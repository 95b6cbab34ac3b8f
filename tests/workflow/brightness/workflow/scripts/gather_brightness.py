"""Gather the frames of all shards."""

from tessera.core.job import job
from tessera.extras.brightness.samples import gather_brightness

with job(snakemake) as (inputs, outputs, params):
    gather_brightness(shards=inputs.shards, selected=outputs.selected)
