"""Find near-duplicates by the vectors of an embedding."""

from tessera.core.job import job

with job(snakemake) as (inputs, outputs, params):
    # NumPy reads the number of threads, which the job sets, when it is imported.
    from tessera.extras.near_duplicates.near_duplicates import find_near_duplicates
    from tessera.extras.near_duplicates.settings import NearDuplicateSettings

    find_near_duplicates(
        tables=inputs.tables,
        labelled=inputs.labelled,
        sources=inputs.sources,
        settings=NearDuplicateSettings(**params.settings),
        **vars(outputs),
    )
