"""Render a video of the footage of the starter models."""

from tessera.core.job import job
from tessera.demo.packages import read_pictures
from tessera.demo.starter import render_starter_video

with job(snakemake) as (inputs, outputs, params):
    render_starter_video(
        path=outputs.video,
        name=snakemake.output.video,
        split=snakemake.wildcards.split,
        pictures=read_pictures(),
        folder=inputs.pictures,
        seed=params.seed,
    )
