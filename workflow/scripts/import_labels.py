"""Import a set of labelled images."""

from pathlib import Path

from tessera.core.job import job
from tessera.records.label_sets import LabelledSet
from tessera.stages.labels.sets import import_labels

with job(snakemake) as (inputs, outputs, params):
    import_labels(
        label_set=LabelledSet(**params.label_set),
        setting=params.setting,
        source=params.source,
        classes=params.classes,
        min_area=params.min_area,
        blocklist=inputs.blocklist,
        blocklist_distance=params.blocklist_distance,
        final_folder=Path(snakemake.output.pictures),
        **vars(outputs),
    )
