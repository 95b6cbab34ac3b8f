"""Draw the time and the memory that the jobs of each rule took, and measure when they ran."""

from pathlib import Path

from tessera.core.job import job
from tessera.pages.report.timings import draw_timings, measure_run

with job(snakemake) as (inputs, outputs, params):
    measured = {"benchmarks": Path(params.benchmarks), "rules": params.rules, "shards": params.shards}
    draw_timings(**measured, path=outputs.timings)
    measure_run(**measured, path=outputs.run)
