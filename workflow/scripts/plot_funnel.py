"""Draw how many items each step from sources to samples passed on, and why it left out the others."""

from tessera.core.job import job
from tessera.pages.report.counts import draw_funnels

with job(snakemake) as (inputs, outputs, params):
    draw_funnels(**vars(inputs), **vars(outputs), steps=params.steps, samples=params.samples)
