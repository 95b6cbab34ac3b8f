"""Read the masks of the samples of a shard into the hub."""

from tessera.annotations.mask_imports import import_masks
from tessera.job import job
from tessera.mosaics.settings import CLASSES

with job(snakemake) as (inputs, outputs, params):
    import_masks(**vars(inputs), values=CLASSES, min_area=params.min_area, **vars(outputs))
