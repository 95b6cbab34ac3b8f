"""Export the restoration model as safetensors and for Lada's application."""

from tessera.core.job import job
from tessera.stages.restoration.export import export_restoration
from tessera.stages.restoration.settings import GeneratorSettings

with job(snakemake) as (inputs, outputs, params):
    export_restoration(
        checkpoint=inputs.checkpoint,
        safetensors=outputs.safetensors,
        application=outputs.application,
        generator=GeneratorSettings(**params.generator),
        size=params.size,
        code=params.train_code,
    )
