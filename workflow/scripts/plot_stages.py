"""Draw the losses of each stage, and what it reached on the validation split."""

from tessera.figures.restoration import draw_stages
from tessera.job import job

with job(snakemake) as (inputs, outputs, params):
    draw_stages({file.parent.name: file for file in inputs.curves}, outputs.figure)
