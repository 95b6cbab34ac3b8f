"""Write the first screen of the report."""

from tessera.core.job import job
from tessera.pages.report.summary import write_summary

with job(snakemake) as (inputs, outputs, params):
    write_summary(
        metrics=dict(zip(params.models, inputs.metrics, strict=True)),
        clean=dict(zip(params.detectors, inputs.clean, strict=True)),
        restored=inputs.restored,
        footage=inputs.footage or None,
        figures=outputs.figures,
        path=outputs.summary,
    )
