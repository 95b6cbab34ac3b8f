"""Show the card of a model as a page."""

from tessera.figures.pages import render_markdown
from tessera.job import job

with job(snakemake) as (inputs, outputs, params):
    render_markdown(inputs.card, outputs.page)
