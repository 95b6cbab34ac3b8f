"""Draw a figure of the report with the function that its entry names."""

from importlib import import_module

from tessera.core.job import job

with job(snakemake) as (inputs, outputs, params):
    module, _, function = params.function.partition(":")
    getattr(import_module(module), function)(**vars(inputs), **params.arguments, **vars(outputs))
