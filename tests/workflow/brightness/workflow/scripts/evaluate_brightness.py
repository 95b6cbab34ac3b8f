"""Measure the accuracy of the model."""

from tessera.core.job import job
from tessera.extras.brightness.classifier import evaluate_brightness

with job(snakemake) as (inputs, outputs, params):
    evaluate_brightness(**vars(inputs), **vars(outputs))
