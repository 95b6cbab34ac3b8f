"""Draw what the jobs of each rule took in time and memory."""

from pathlib import Path

from tessera.figures.timings import draw_timings
from tessera.job import job

with job(snakemake) as (inputs, outputs, params):
    draw_timings(Path(params.benchmarks), params.rules, params.shards, outputs.timings)
