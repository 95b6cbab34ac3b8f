"""Show the curves of a training and of its evaluation as one page."""

from tessera.core.job import job
from tessera.pages.report.pages import show_pictures

with job(snakemake) as (inputs, outputs, params):
    show_pictures(folder=inputs.curves, title="Curves", path=outputs.page)
