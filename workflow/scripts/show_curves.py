"""Show the curves of a training and of its evaluation as one page."""

from tessera.figures.pages import show_pictures
from tessera.job import job

with job(snakemake) as (inputs, outputs, params):
    show_pictures(inputs.curves, "Curves", outputs.page)
