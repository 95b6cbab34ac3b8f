"""Choose what gets a mosaic of what the detectors saw, and the frames in which they saw nothing."""

from tessera.core.job import job
from tessera.pipeline.regions.choose import RegionSettings, choose_regions

with job(snakemake) as (inputs, outputs, params):
    settings = RegionSettings(**params.settings)
    choose_regions(inputs.frames, params.finders, inputs.tables, inputs.ledgers, settings, params.seed, **vars(outputs))
