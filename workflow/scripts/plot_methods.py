"""Draw what the restoration model reaches beside simple methods, by the size of the blocks."""

from tessera.figures.restoration import draw_methods
from tessera.job import job

with job(snakemake) as (inputs, outputs, params):
    draw_methods(inputs.metrics, outputs.figure)
