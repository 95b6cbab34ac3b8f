"""Import the labels of a folder of images."""

from pathlib import Path

from tessera.core.job import job
from tessera.pipeline.labels.imports import import_labels
from tessera.pipeline.labels.settings import LabelSet

with job(snakemake) as (inputs, outputs, params):
    import_labels(
        label_set=LabelSet(**params.label_set),
        classes=params.classes,
        min_area=params.min_area,
        blocklist=inputs.blocklist,
        blocklist_distance=params.blocklist_distance,
        place=Path(snakemake.output.embedded),
        **vars(outputs),
    )
