"""Import the labels of the frames of a shard."""

from pathlib import Path

from tessera.core.job import job
from tessera.records.decisions import Decision
from tessera.stages.labels.frames import import_frame_labels

with job(snakemake) as (inputs, outputs, params):
    folder = Path(params.folder) if params.folder else None
    unsampled = Path(snakemake.output.unsampled)
    import_frame_labels(
        **vars(inputs),
        folder=folder,
        classes=params.classes,
        min_area=params.min_area,
        negatives={row["key"]: Decision(**row) for row in params.negatives},
        moved=params.moved,
        final_folder=unsampled,
        **vars(outputs),
    )
