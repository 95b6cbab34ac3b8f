"""Show the datasheet of a dataset as a page."""

from tessera.figures.pages import render_markdown
from tessera.job import job

with job(snakemake) as (inputs, outputs, params):
    render_markdown(inputs.datasheet, outputs.page)
