"""Export a detector as a checkpoint and as ONNX."""

from tessera.core.job import job
from tessera.stages.detectors.export import export_detector
from tessera.stages.detectors.settings import ExportSettings

with job(snakemake) as (inputs, outputs, params):
    export_detector(
        weights=inputs.weights, checkpoint=outputs.checkpoint, onnx=outputs.onnx, settings=ExportSettings(**params.settings)
    )
