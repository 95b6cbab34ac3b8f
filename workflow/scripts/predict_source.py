"""Run a detector over the sources of a shard."""

from tessera.core.job import job
from tessera.pipeline.previews.predict import PreviewPredictionSettings, predict_previews

with job(snakemake) as (inputs, outputs, params):
    settings = PreviewPredictionSettings(**params.settings)
    expected = inputs.checksums or params.sha256
    predict_previews(inputs.sources, inputs.weights, expected, params.wanted, settings, **vars(outputs))
