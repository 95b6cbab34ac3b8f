"""Draw the time and the memory that the jobs of each rule took."""

from pathlib import Path

from tessera.core.job import job
from tessera.pipeline.report.timings import draw_timings

with job(snakemake) as (inputs, outputs, params):
    draw_timings(benchmarks=Path(params.benchmarks), rules=params.rules, shards=params.shards, path=outputs.timings)
