"""Fetch declared weights, and verify them."""

from tessera.core.job import job
from tessera.learning.weights.declare import WeightsSettings
from tessera.learning.weights.fetch import fetch_weights

with job(snakemake) as (inputs, outputs, params):
    fetch_weights(WeightsSettings.model_validate(params.settings), outputs.weights)
