"""Compare the restoration model with other models and with simple methods in a table."""

from tessera.core.job import job
from tessera.pages.report.restorers import tabulate_restorers

with job(snakemake) as (inputs, outputs, params):
    files = [inputs.trained, *inputs.compared]
    tabulate_restorers(
        metrics=inputs.metrics,
        speed=inputs.speed,
        files=dict(zip(params.names, files, strict=True)),
        path=outputs.table,
    )
