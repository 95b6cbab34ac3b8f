"""Put all figures into one HTML file."""

from tessera.core.job import job
from tessera.pipeline.report.report import make_report

with job(snakemake) as (inputs, outputs, params):
    # The report is of the whole workflow, so here the whole configuration is meant.
    make_report(snakefile=params.snakefile, config=snakemake.config, files=inputs.figures, path=outputs.report)
