"""Write a dataset of clips in Lada's layout."""

from tessera.core.job import job
from tessera.stages.datasets.clips import write_clip_dataset

with job(snakemake) as (inputs, outputs, params):
    folders = {"train": outputs.train, "val": outputs.val, "test": outputs.test}
    write_clip_dataset(
        clips=inputs.clips,
        scores=inputs.scores,
        splits=inputs.splits,
        images=inputs.images,
        masks=inputs.masks,
        folders=folders,
        table=outputs.table,
    )
