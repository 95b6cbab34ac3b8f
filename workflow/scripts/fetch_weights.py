"""Fetch declared weights, and verify them."""

from tessera.detectors.weights import fetch_weights
from tessera.job import job
from tessera.weights import WeightsSettings

with job(snakemake) as (inputs, outputs, params):
    fetch_weights(WeightsSettings(**params.settings), outputs.weights)
