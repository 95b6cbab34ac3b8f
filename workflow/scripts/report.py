"""Put all figures into one HTML file."""

from tessera.figures.report import make_report
from tessera.job import job

with job(snakemake) as (inputs, outputs, params):
    # The report is of the whole workflow, so here the whole configuration is meant.
    make_report(params.snakefile, snakemake.config, inputs.figures, outputs.report)
