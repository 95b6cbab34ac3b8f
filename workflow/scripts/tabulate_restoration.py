"""Show the metrics of a restoration model, and how its export differs."""

from tessera.core.job import job
from tessera.pages.report.restorers import tabulate_restoration

with job(snakemake) as (inputs, outputs, params):
    tabulate_restoration(metrics=inputs.metrics, exported=inputs.exported, path=outputs.table)
