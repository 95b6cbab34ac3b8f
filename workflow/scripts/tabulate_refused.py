"""Show which sources were refused, and why."""

from tessera.figures.pages import tabulate_refused
from tessera.job import job

with job(snakemake) as (inputs, outputs, params):
    tabulate_refused(inputs.refused, outputs.table)
