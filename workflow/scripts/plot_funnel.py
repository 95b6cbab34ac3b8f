"""Draw what became of the footage, from sources to samples, and why the rest was left out."""

from tessera.core.job import job
from tessera.pipeline.report.counts import draw_funnels

with job(snakemake) as (inputs, outputs, params):
    draw_funnels(**vars(inputs), **vars(outputs), steps=params.steps, samples=params.samples)
