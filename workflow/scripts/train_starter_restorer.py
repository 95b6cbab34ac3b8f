"""Train the starter restorer on clips of the pictures of the starter models."""

from pathlib import Path

from tessera.core.job import job
from tessera.demo.packages import read_pictures
from tessera.demo.restorer import train_starter_restorer

with job(snakemake) as (inputs, outputs, params):
    train_starter_restorer(
        pictures=read_pictures(),
        folder=inputs.pictures,
        weights=outputs.weights,
        run=Path(params.run),
        clips=params.clips,
        iterations=params.iterations,
        seed=params.seed,
        threads=snakemake.threads,
        code=params.code,
    )
