"""Store the frames of a shard that are chosen, one image each."""

from tessera.core.job import job
from tessera.pipeline.footage.sampling import FrameSettings, sample_frames

with job(snakemake) as (inputs, outputs, params):
    sample_frames(inputs.sources, **vars(outputs), settings=FrameSettings(**params.settings), threads=snakemake.threads)
