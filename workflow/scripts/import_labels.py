"""Read the labels of a folder of images into the hub."""

from pathlib import Path

from tessera.core.job import job
from tessera.pipeline.labels.imports import import_labels
from tessera.pipeline.labels.settings import LabelSet

with job(snakemake) as (inputs, outputs, params):
    label_set = LabelSet(**params.label_set)
    place = Path(snakemake.output.embedded)
    blocklist = inputs.blocklist, params.blocklist_distance
    import_labels(label_set, params.classes, params.min_area, *blocklist, place, **vars(outputs))
