"""Compare the exported restoration model with the trained one."""

from tessera.core.job import job
from tessera.stages.restoration.export import verify_restoration_export
from tessera.stages.restoration.settings import DataSettings, ExportSettings, GeneratorSettings

with job(snakemake) as (inputs, outputs, params):
    verify_restoration_export(
        dataset=inputs.folders[0].parent,
        checkpoint=inputs.checkpoint,
        safetensors=inputs.safetensors,
        application=inputs.application,
        report=outputs.report,
        generator=GeneratorSettings(**params.generator),
        data=DataSettings(**params.data),
        settings=ExportSettings(**params.settings),
        seed=params.seed,
    )
