"""Run a detector over the sources of a shard."""

from tessera.detectors.predict import PreviewPredictionSettings, predict_previews
from tessera.job import job

with job(snakemake) as (inputs, outputs, params):
    settings = PreviewPredictionSettings(**params.settings)
    predict_previews(inputs.sources, inputs.weights, inputs.checksums, params.wanted, settings, **vars(outputs))
