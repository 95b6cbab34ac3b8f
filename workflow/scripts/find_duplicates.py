"""Find near-duplicates among the images of all sources and labelled folders."""

from tessera.core.job import job
from tessera.stages.footage.duplicates import DuplicateSettings, drop_duplicates

with job(snakemake) as (inputs, outputs, params):
    drop_duplicates(inputs.frames, inputs.labelled, **vars(outputs), settings=DuplicateSettings(**params.settings))
