"""Run a detector over the sampled frames of a shard."""

from tessera.core.job import job
from tessera.imaging.detection.settings import TrainedFinderSettings
from tessera.pipeline.regions.find import find_regions

with job(snakemake) as (inputs, outputs, params):
    settings = TrainedFinderSettings(**params.settings)
    find_regions(
        inputs.frames,
        inputs.images,
        inputs.sources,
        inputs.weights,
        inputs.checksums or params.settings["weights"]["sha256"],
        params.dataset,
        settings,
        **vars(outputs),
        threads=snakemake.threads,
    )
