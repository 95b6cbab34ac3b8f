"""Compare an exported classifier with the trained one."""

from tessera.core.job import job
from tessera.extras.classifiers.export import verify_classifier_export
from tessera.extras.classifiers.settings import ClassifierSettings

with job(snakemake) as (inputs, outputs, params):
    verify_classifier_export(
        dataset=inputs.checksums.parent,
        vectors=inputs.vectors or None,
        classifier=inputs.classifier,
        safetensors=inputs.safetensors,
        onnx=inputs.onnx,
        city=inputs.city or None,
        report=outputs.report,
        settings=ClassifierSettings(**params.settings),
        threads=snakemake.threads,
    )
