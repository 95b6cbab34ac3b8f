"""Choose what gets a mosaic of what the detectors saw, and the frames in which they saw nothing."""

from tessera.core.job import job
from tessera.pipeline.regions.choose import RegionSettings, choose_regions

with job(snakemake) as (inputs, outputs, params):
    settings = RegionSettings(**params.settings)
    choose_regions(
        frames=inputs.frames,
        finders=params.finders,
        tables=inputs.tables,
        ledgers=inputs.ledgers,
        settings=settings,
        seed=params.seed,
        **vars(outputs),
    )
