"""Draw the pictures that were left out, each beside the one that is kept in its place."""

from tessera.core.job import job
from tessera.pages.report.near_duplicates import show_near_duplicates
from tessera.pages.report.settings import ReportSettings

with job(snakemake) as (inputs, outputs, params):
    show_near_duplicates(
        pairs=inputs.pairs,
        tables=inputs.tables,
        sources=inputs.sources,
        sets=params.sets,
        settings=ReportSettings(**params.settings),
        folder=outputs.pictures,
    )
