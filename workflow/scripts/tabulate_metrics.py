"""Show the metrics of a model, and how its exports compare."""

from tessera.figures.pages import tabulate_metrics
from tessera.job import job

with job(snakemake) as (inputs, outputs, params):
    tabulate_metrics({"Trained model": inputs.metrics, "Exported model": inputs.exported}, outputs.table)
