"""Check that the models that a restoration model is compared with can be measured."""

from tessera.core.job import job
from tessera.stages.restoration.evaluate import check_restorers

with job(snakemake) as (inputs, outputs, params):
    check_restorers(
        compared=dict(zip(params.compared, inputs.compared, strict=True)),
        report=outputs.report,
    )
