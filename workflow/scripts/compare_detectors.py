"""Compare a detector with weights of others on the splits that it was not trained on."""

from tessera.core.job import job
from tessera.stages.detectors.compare import compare_detectors
from tessera.stages.detectors.settings import ComparedDetector, DetectorSettings

with job(snakemake) as (inputs, outputs, params):
    compare_detectors(
        model=snakemake.wildcards.model,
        dataset=inputs.description.parent,
        splits=inputs.splits,
        weights=inputs.weights,
        compared=[ComparedDetector(**each) for each in params.compared],
        files=inputs.compared,
        objects=outputs.objects,
        detections=outputs.detections,
        report=outputs.report,
        speed=outputs.speed,
        settings=DetectorSettings(architecture=params.architecture, training=params.training),
        seed=params.seed,
        threads=snakemake.threads,
    )
