"""Export a classifier as safetensors and as ONNX."""

from tessera.core.job import job
from tessera.extras.classifiers.export import export_classifier

with job(snakemake) as (inputs, outputs, params):
    export_classifier(**vars(inputs), **vars(outputs), opset=params.opset)
