"""Read the labels of the frames of a shard into the hub."""

from tessera.annotations.imports import import_frame_labels
from tessera.job import job

with job(snakemake) as (inputs, outputs, params):
    import_frame_labels(**vars(inputs), folder=params.folder, classes=params.classes, min_area=params.min_area, **vars(outputs))
