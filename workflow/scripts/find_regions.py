"""Run a detector over the sampled frames of a shard."""

from tessera.detectors.predict import TrainedFinderSettings, find_regions
from tessera.job import job

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
