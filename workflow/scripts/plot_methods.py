"""Draw what the restoration model reaches beside simple methods, by the size of the blocks."""

from tessera.core.job import job
from tessera.pipeline.report.restoration import draw_methods

with job(snakemake) as (inputs, outputs, params):
    draw_methods(inputs.metrics, outputs.figure)
