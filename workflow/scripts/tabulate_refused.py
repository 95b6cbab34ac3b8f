"""Show which sources were refused, and why."""

from tessera.core.job import job
from tessera.pages.report.pages import tabulate_refused

with job(snakemake) as (inputs, outputs, params):
    tabulate_refused(inputs.refused, outputs.table)
