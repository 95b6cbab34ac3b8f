"""Show footage before and after its restoration."""

from tessera.core.job import job
from tessera.pages.report.footage import show_footage
from tessera.pages.report.settings import ReportSettings

with job(snakemake) as (inputs, outputs, params):
    show_footage(**vars(inputs), shown=params.shown, settings=ReportSettings(**params.settings), path=outputs.page)
