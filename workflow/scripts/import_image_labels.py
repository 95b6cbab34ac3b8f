"""Import a set of images that have one label or score each."""

from pathlib import Path

from tessera.core.job import job
from tessera.stages.labels.image_labels import import_image_labels
from tessera.stages.labels.settings import ImageLabelSet

with job(snakemake) as (inputs, outputs, params):
    import_image_labels(
        label_set=ImageLabelSet(**params.label_set),
        blocklist=inputs.blocklist,
        blocklist_distance=params.blocklist_distance,
        final_folder=Path(snakemake.output.pictures),
        sources=inputs.sources or None,
        answers=params.answers,
        **vars(outputs),
    )
