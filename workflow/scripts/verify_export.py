"""Compare an exported detector with the one that was trained."""

from tessera.detectors.export import verify_export
from tessera.detectors.settings import ExportSettings, ToleranceSettings
from tessera.job import job

with job(snakemake) as (inputs, outputs, params):
    verify_export(
        inputs.description.parent,
        inputs.checkpoint,
        inputs.onnx,
        outputs.report,
        ExportSettings(**params.export),
        ToleranceSettings(**params.tolerance),
        threads=snakemake.threads,
    )
