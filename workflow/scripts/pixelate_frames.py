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
        inputs.frames,
        inputs.pictures,
        inputs.regions,
        inputs.backgrounds,
        outputs.mosaics,
        outputs.pictures,
        outputs.masks,
        outputs.ledger,
        outputs.mosaic_ledger,
        MosaicSettings(**params.settings),
        params.seed,
        degrade=partial(degrade, chain=DegradationSettings(**params.degradations).detection),
        threads=snakemake.threads,
    )
    import_masks(
        outputs.masks,
        outputs.pictures,
        Path(snakemake.output.pictures),
        inputs.frames,
        inputs.sources,
        CLASSES,
        params.min_area,
        outputs.images,
        outputs.annotations,
        outputs.mask_ledger,
    )
