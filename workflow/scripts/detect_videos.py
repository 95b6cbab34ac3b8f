"""Run a detector over the videos of a shard."""

from tessera.detectors.videos import VideoFinderSettings, detect_videos
from tessera.job import job

with job(snakemake) as (inputs, outputs, params):
    detect_videos(
        inputs.sources,
        inputs.weights,
        inputs.checksums or params.settings["weights"]["sha256"],
        params.dataset,
        VideoFinderSettings(**params.settings),
        **vars(outputs),
        threads=snakemake.threads,
    )
