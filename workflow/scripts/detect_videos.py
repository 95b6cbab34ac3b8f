"""Run a detector over the videos of a shard."""

from tessera.core.job import job
from tessera.pipeline.scenes.detect import VideoFinderSettings, detect_videos

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
