"""Draw watermarks over frames of a shard, and write their labels."""

from pathlib import Path

from tessera.core.job import job
from tessera.imaging.watermark.settings import DrawSettings
from tessera.stages.watermarks.draw import draw_watermarks

with job(snakemake) as (inputs, outputs, params):
    draw_watermarks(
        **vars(inputs),
        datasets=params.datasets,
        settings=DrawSettings(**params.settings),
        seed=params.seed,
        final_folder=Path(snakemake.output.drawn),
        **vars(outputs),
        threads=snakemake.threads,
    )
