"""Replace the regions of the frames of a shard by mosaics, degrade the pictures, and read the masks into the hub."""

from functools import partial
from pathlib import Path

from tessera.core.job import job
from tessera.imaging.degradation.chain import degrade
from tessera.imaging.degradation.settings import DegradationSettings
from tessera.imaging.mosaic.settings import CLASSES, MosaicSettings
from tessera.pipeline.mosaics.masks import import_masks
from tessera.pipeline.mosaics.samples import pixelate_frames

with job(snakemake) as (inputs, outputs, params):
    pixelate_frames(
        frames=inputs.frames,
        pictures=inputs.pictures,
        regions=inputs.regions,
        backgrounds=inputs.backgrounds,
        table=outputs.mosaics,
        images=outputs.pictures,
        masks=outputs.masks,
        ledger=outputs.ledger,
        mosaic_ledger=outputs.mosaic_ledger,
        settings=MosaicSettings(**params.settings),
        seed=params.seed,
        degrade=partial(degrade, chain=DegradationSettings(**params.degradations).detection),
        threads=snakemake.threads,
    )
    import_masks(
        masks=outputs.masks,
        pictures=outputs.pictures,
        place=Path(snakemake.output.pictures),
        frames=inputs.frames,
        sources=inputs.sources,
        values=CLASSES,
        min_area=params.min_area,
        images=outputs.images,
        annotations=outputs.annotations,
        ledger=outputs.mask_ledger,
    )
