"""Write the first screen of the report."""

from tessera.core.job import job
from tessera.pipeline.report.summary import write_summary

with job(snakemake) as (inputs, outputs, params):
    metrics = dict(zip(params.models, inputs.metrics, strict=True))
    write_summary(metrics=metrics, footage=inputs.footage or None, path=outputs.summary)
