"""Draw what the jobs of each rule took in time and memory."""

from pathlib import Path

from tessera.core.job import job
from tessera.pipeline.report.timings import draw_timings

with job(snakemake) as (inputs, outputs, params):
    draw_timings(Path(params.benchmarks), params.rules, params.shards, outputs.timings)
