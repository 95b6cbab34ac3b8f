"""Show the crops of each identity."""

from tessera.core.job import job
from tessera.pages.report.identities import show_identities
from tessera.pages.report.settings import ReportSettings

with job(snakemake) as (inputs, outputs, params):
    show_identities(
        identities=inputs.identities,
        tables=inputs.tables,
        ledgers={"crops": inputs.crops, "decisions": inputs.decisions},
        sources=inputs.sources,
        settings=ReportSettings(**params.settings),
        shown=params.shown,
        folder=outputs.pictures,
        page=outputs.page,
    )
