"""Draw the quality of the restoration model compared with simple methods, by block size."""

from tessera.core.job import job
from tessera.pages.report.restoration import draw_methods

with job(snakemake) as (inputs, outputs, params):
    draw_methods(inputs.metrics, outputs.figure)
