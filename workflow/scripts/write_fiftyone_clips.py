"""Write a dataset of clips for FiftyOne."""

from pathlib import Path

from tessera.core.job import job
from tessera.stages.datasets.fiftyone import write_fiftyone_clips

with job(snakemake) as (inputs, outputs, params):
    write_fiftyone_clips(
        clips=inputs.clips,
        scores=inputs.scores,
        folder=inputs.clips.parent,
        name=f"tessera-{snakemake.wildcards.dataset}",
        final_folder=Path(snakemake.output.samples).parent,
        **vars(outputs),
    )
