"""Draw marks over frames of a shard, and say where they are."""

from pathlib import Path

from tessera.job import job
from tessera.watermarks.drawing import draw_watermarks
from tessera.watermarks.settings import DrawSettings

with job(snakemake) as (inputs, outputs, params):
    settings = DrawSettings(**params.settings)
    place = Path(snakemake.output.drawn)
    draw_watermarks(
        **vars(inputs), settings=settings, seed=params.seed, place=place, **vars(outputs), threads=snakemake.threads
    )
