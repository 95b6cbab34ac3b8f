"""Divide the sources into the splits train, val and test, for all datasets."""

from tessera.core.job import job
from tessera.stages.datasets.splits import SplitSettings, divide_sources

with job(snakemake) as (inputs, outputs, params):
    settings = SplitSettings(**params.settings)
    divide_sources(
        sources=inputs.sources,
        labelled=inputs.labelled,
        frames=inputs.frames,
        duplicates=inputs.duplicates,
        order=params.order,
        settings=settings,
        output=outputs.splits,
    )
