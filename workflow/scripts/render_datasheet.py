"""Render the datasheet of a dataset as HTML."""

from tessera.core.job import job
from tessera.pages.report.pages import render_markdown

with job(snakemake) as (inputs, outputs, params):
    render_markdown(inputs.datasheet, outputs.page)
