"""Export the restoration model as safetensors and for Lada's application."""

from tessera.core.environments.run import run_inside
from tessera.core.job import job
from tessera.pipeline.restoration.settings import GeneratorSettings

with job(snakemake) as (inputs, outputs, params):
    run_inside(
        inputs.environment,
        "tessera.pipeline.restoration.export:export_restoration",
        checkpoint=inputs.checkpoint,
        safetensors=outputs.safetensors,
        application=outputs.application,
        generator=GeneratorSettings(**params.generator),
        code=params.trained_by,
    )
