"""Export a detector to the formats that others load."""

from tessera.detectors.export import export_detector
from tessera.detectors.settings import ExportSettings
from tessera.job import job

with job(snakemake) as (inputs, outputs, params):
    export_detector(inputs.weights, outputs.checkpoint, outputs.onnx, ExportSettings(**params.settings))
