"""Check that the models that a restoration model is compared with can be measured."""

from tessera.core.environments.run import run_inside
from tessera.core.job import job

with job(snakemake) as (inputs, outputs, params):
    run_inside(
        inputs.environment,
        "tessera.pipeline.restoration.evaluate:check_restorers",
        compared=dict(zip(params.compared, inputs.compared, strict=True)),
        report=outputs.report,
    )
