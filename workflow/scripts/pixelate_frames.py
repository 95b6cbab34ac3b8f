"""Replace the regions of the frames of a shard by mosaics, degrade the pictures, and keep the masks."""

from functools import partial

from tessera.degradations.chain import degrade
from tessera.degradations.settings import DegradationSettings
from tessera.job import job
from tessera.mosaics.samples import pixelate_frames
from tessera.mosaics.settings import MosaicSettings

with job(snakemake) as (inputs, outputs, params):
    chain = DegradationSettings(**params.degradations).detection
    pixelate_frames(
        **vars(inputs),
        **vars(outputs),
        settings=MosaicSettings(**params.settings),
        seed=params.seed,
        degrade=partial(degrade, chain=chain),
        threads=snakemake.threads,
    )
