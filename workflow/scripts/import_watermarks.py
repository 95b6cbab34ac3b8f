"""Read a set of images with watermarks into the hub."""

from pathlib import Path

from tessera.core.job import job
from tessera.pipeline.watermarks.sets import import_watermarks
from tessera.pipeline.watermarks.settings import WatermarkSet

with job(snakemake) as (inputs, outputs, params):
    place = Path(snakemake.output.pictures)
    blocklist = inputs.blocklist, params.blocklist_distance
    import_watermarks(WatermarkSet(**params.watermark_set), *blocklist, place, **vars(outputs))
