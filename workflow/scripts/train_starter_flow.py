"""Train the optical flow that comes with Tessera on pairs of frames that are made of the pictures of the starter models."""

from pathlib import Path

from tessera.core.job import job
from tessera.demo.flow import train_starter_flow
from tessera.demo.packages import read_pictures
from tessera.stages.restoration.models import build_flow

with job(snakemake) as (inputs, outputs, params):
    train_starter_flow(
        build=build_flow,
        pictures=read_pictures(),
        folder=inputs.pictures,
        weights=outputs.weights,
        run=Path(params.run),
        pairs=params.pairs,
        seed=params.seed,
        threads=snakemake.threads,
        code=params.code,
    )
