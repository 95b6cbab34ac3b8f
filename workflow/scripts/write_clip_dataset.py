"""Lay the clips out as the trainers of restoration models read them."""

from tessera.clips.dataset import write_clip_dataset
from tessera.job import job

with job(snakemake) as (inputs, outputs, params):
    folders = {"train": outputs.train, "val": outputs.val, "test": outputs.test}
    write_clip_dataset(inputs.clips, inputs.scores, inputs.splits, inputs.images, inputs.masks, folders, outputs.table)
