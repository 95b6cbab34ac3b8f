"""Export a head to the pair of files that CityClassifiers loads."""

from tessera.core.job import job
from tessera.extras.classifiers.export import export_for_city

with job(snakemake) as (inputs, outputs, params):
    export_for_city(**vars(inputs), **vars(outputs), name=f"{snakemake.wildcards.model}-city")
