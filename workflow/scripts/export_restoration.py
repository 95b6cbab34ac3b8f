"""Export the restoration model to the formats that others load."""

from tessera.environments import run_inside
from tessera.job import job
from tessera.restoration.settings import GeneratorSettings

with job(snakemake) as (inputs, outputs, params):
    run_inside(
        inputs.environment,
        "tessera.restoration.export:export_restoration",
        checkpoint=inputs.checkpoint,
        safetensors=outputs.safetensors,
        application=outputs.application,
        generator=GeneratorSettings(**params.generator),
        code=params.trained_by,
    )
