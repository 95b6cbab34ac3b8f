"""Show how a detector compares with weights of others."""

from tessera.core.job import job
from tessera.pages.report.detectors import tabulate_comparison

with job(snakemake) as (inputs, outputs, params):
    tabulate_comparison(comparison=inputs.report, speed=inputs.speed, path=outputs.table)
