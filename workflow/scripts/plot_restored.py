"""Show clips mosaicked, restored and clean, as pictures and as animations."""

from tessera.core.job import job
from tessera.pages.report.restoration import show_restored, shown_sheets
from tessera.pages.report.settings import ReportSettings
from tessera.pages.report.tiles import find_clear

with job(snakemake) as (inputs, outputs, params):
    settings = ReportSettings(**params.settings)
    clear = find_clear(splits=inputs.splits, sources=inputs.sources, sets=params.sets, settings=settings)
    outputs.restored.mkdir()
    for sheet in shown_sheets(folder=inputs.pictures):
        show_restored(
            folder=inputs.pictures, sheet=sheet, clear=clear, settings=settings, path=outputs.restored / f"{sheet}.html"
        )
