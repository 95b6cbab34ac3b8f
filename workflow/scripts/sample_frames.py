"""Store the frames of a shard that are chosen, one image each."""

from tessera.frames import FrameSettings, sample_frames
from tessera.job import job

with job(snakemake) as (inputs, outputs, params):
    sample_frames(inputs.sources, **vars(outputs), settings=FrameSettings(**params.settings), threads=snakemake.threads)
