"""Show the labels of a classifier that may be wrong."""

from tessera.core.job import job
from tessera.pages.report.label_errors import show_label_errors
from tessera.pages.report.settings import ReportSettings

with job(snakemake) as (inputs, outputs, params):
    show_label_errors(
        errors=inputs.errors,
        metrics=inputs.metrics,
        pictures=inputs.pictures,
        images=inputs.images,
        sources=inputs.sources,
        sets=params.sets,
        settings=ReportSettings(**params.settings),
        classifier=snakemake.wildcards.model,
        path=outputs.page,
    )
