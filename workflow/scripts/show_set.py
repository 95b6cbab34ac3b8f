"""Show the balance of an image set, and some of its pictures with their captions."""

from tessera.core.job import job
from tessera.pages.report.image_sets import show_set
from tessera.pages.report.settings import ReportSettings

with job(snakemake) as (inputs, outputs, params):
    show_set(
        name=snakemake.wildcards.dataset,
        selected=inputs.selected,
        splits=inputs.splits,
        resized=inputs.resized,
        images=inputs.images,
        captions=inputs.captions or None,
        arrangement=inputs.arrangement or None,
        distribution=inputs.distribution or None,
        sources=inputs.sources,
        settings=ReportSettings(**params.settings),
        seed=params.seed,
        page=outputs.page,
    )
