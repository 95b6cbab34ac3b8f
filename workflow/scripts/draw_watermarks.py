"""Draw marks over frames of a shard, and say where they are."""

from pathlib import Path

from tessera.core.job import job
from tessera.imaging.watermark.settings import DrawSettings
from tessera.pipeline.watermarks.draw import draw_watermarks

with job(snakemake) as (inputs, outputs, params):
    settings = DrawSettings(**params.settings)
    place = Path(snakemake.output.drawn)
    draw_watermarks(
        **vars(inputs), settings=settings, seed=params.seed, place=place, **vars(outputs), threads=snakemake.threads
    )
