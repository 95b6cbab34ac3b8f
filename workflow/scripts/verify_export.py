"""Compare an exported detector with the trained one."""

from tessera.core.job import job
from tessera.stages.detectors.export import verify_export
from tessera.stages.detectors.settings import ExportSettings, ToleranceSettings

with job(snakemake) as (inputs, outputs, params):
    verify_export(
        dataset=inputs.description.parent,
        checkpoint=inputs.checkpoint,
        onnx=inputs.onnx,
        lada=inputs.lada or None,
        report=outputs.report,
        export=ExportSettings(**params.export),
        tolerance=ToleranceSettings(**params.tolerance),
        threads=snakemake.threads,
    )
