"""Measure a detector on the splits that it was not trained on."""

from tessera.core.job import job
from tessera.stages.detectors.evaluate import evaluate_detector
from tessera.stages.detectors.settings import DetectorSettings

with job(snakemake) as (inputs, outputs, params):
    evaluate_detector(
        model=snakemake.wildcards.model,
        dataset=inputs.description.parent,
        splits=inputs.splits,
        weights=inputs.weights,
        curves=inputs.curves,
        metrics=outputs.metrics,
        pictures=outputs.curves,
        objects=outputs.objects,
        detections=outputs.detections,
        settings=DetectorSettings(architecture=params.architecture, training=params.training),
        seed=params.seed,
        threads=snakemake.threads,
    )
