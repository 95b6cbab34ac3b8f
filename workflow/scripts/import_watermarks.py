"""Import a set of images with watermarks."""

from pathlib import Path

from tessera.core.job import job
from tessera.pipeline.watermarks.sets import import_watermarks
from tessera.pipeline.watermarks.settings import WatermarkSet

with job(snakemake) as (inputs, outputs, params):
    import_watermarks(
        watermark_set=WatermarkSet(**params.watermark_set),
        blocklist=inputs.blocklist,
        blocklist_distance=params.blocklist_distance,
        place=Path(snakemake.output.pictures),
        **vars(outputs),
    )
