"""Describe a dataset in Croissant, for search engines and loaders of datasets."""

from tessera.core.job import job
from tessera.stages.datasets.croissant import write_croissant
from tessera.stages.datasets.settings import CroissantSettings

with job(snakemake) as (inputs, outputs, params):
    write_croissant(
        dataset=snakemake.wildcards.dataset,
        description=params.description,
        **vars(inputs),
        settings=CroissantSettings(**params.settings),
        **vars(outputs),
    )
