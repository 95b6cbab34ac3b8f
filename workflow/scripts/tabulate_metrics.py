"""Show the metrics of a model, and how its export differs."""

from tessera.core.job import job
from tessera.pages.report.pages import tabulate_metrics

with job(snakemake) as (inputs, outputs, params):
    files = {"Trained model": inputs.metrics, "Exported model": inputs.exported}
    tabulate_metrics(files={title: file for title, file in files.items() if file}, path=outputs.table)
