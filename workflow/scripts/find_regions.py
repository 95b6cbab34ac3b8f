"""Run a detector over the sampled frames of a shard."""

from tessera.core.job import job
from tessera.core.weights.resolve import expected_digest
from tessera.imaging.detection.settings import TrainedFinderSettings
from tessera.pipeline.regions.find import find_regions

with job(snakemake) as (inputs, outputs, params):
    settings = TrainedFinderSettings(**params.settings)
    find_regions(
        frames=inputs.frames,
        images=inputs.images,
        sources=inputs.sources,
        weights=inputs.weights,
        expected=expected_digest(params.settings["weights"], inputs.checksums),
        dataset=params.dataset,
        settings=settings,
        **vars(outputs),
        threads=snakemake.threads,
    )
