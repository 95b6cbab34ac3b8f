"""Copy frames of a shard at each level of a concept."""

from pathlib import Path

from tessera.core.job import job
from tessera.extras.degraded_copies.degrade import degrade_frames
from tessera.extras.degraded_copies.settings import ConceptSettings

with job(snakemake) as (inputs, outputs, params):
    degrade_frames(
        **vars(inputs),
        dataset=snakemake.wildcards.concept,
        settings=ConceptSettings(**params.settings),
        seed=params.seed,
        final_folder=Path(snakemake.output.degraded),
        **vars(outputs),
        threads=snakemake.threads,
    )
