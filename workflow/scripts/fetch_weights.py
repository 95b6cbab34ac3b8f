"""Fetch declared weights, and verify them."""

from tessera.weights import WeightsSettings
from tessera.detectors.weights import fetch_weights
from tessera.job import job

with job(snakemake) as (inputs, outputs, params):
    fetch_weights(WeightsSettings(**params.settings), outputs.weights)
