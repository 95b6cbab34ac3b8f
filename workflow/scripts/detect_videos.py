"""Run a detector over the videos of a shard."""

from tessera.core.job import job
from tessera.core.weights.resolve import expected_digest
from tessera.pipeline.scenes.detect import VideoFinderSettings, detect_videos

with job(snakemake) as (inputs, outputs, params):
    detect_videos(
        sources=inputs.sources,
        weights=inputs.weights,
        expected=expected_digest(params.settings["weights"], inputs.checksums),
        dataset=params.dataset,
        settings=VideoFinderSettings(**params.settings),
        **vars(outputs),
        threads=snakemake.threads,
    )
