"""Show the trials of a search, and what they tell of the settings, as one page."""

from tessera.core.job import job
from tessera.pages.report.searches import show_search

with job(snakemake) as (inputs, outputs, params):
    show_search(
        title=f"Search {snakemake.wildcards.search}",
        trials=inputs.trials,
        summary=inputs.summary,
        best=inputs.best,
        page=outputs.page,
    )
