"""Fit the threshold."""

from tessera.core.job import job
from tessera.extras.brightness.classifier import train_brightness
from tessera.extras.brightness.settings import BrightnessSettings

with job(snakemake) as (inputs, outputs, params):
    train_brightness(images=inputs.images, settings=BrightnessSettings(**params.settings), exported=outputs.exported)
