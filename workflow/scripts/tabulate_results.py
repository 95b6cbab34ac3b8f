"""Show what a classifier reaches, of each class and of each source."""

from tessera.core.job import job
from tessera.pages.report.classifiers import tabulate_results

with job(snakemake) as (inputs, outputs, params):
    tabulate_results(metrics=inputs.metrics, exported=inputs.exported, path=outputs.table)
