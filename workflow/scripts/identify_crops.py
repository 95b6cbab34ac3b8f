"""Find who or what each crop shows."""

from tessera.core.job import job

with job(snakemake) as (inputs, outputs, params):
    # NumPy reads the number of threads, which the job sets, when it is imported.
    from tessera.extras.identities.identify import identify_crops
    from tessera.extras.identities.settings import IdentitySettings

    identify_crops(
        crops=inputs.crops,
        vectors=inputs.vectors,
        references=inputs.references[0] if inputs.references else None,
        sources=inputs.sources,
        settings=IdentitySettings(**params.settings),
        **vars(outputs),
    )
