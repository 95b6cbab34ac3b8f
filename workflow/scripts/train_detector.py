"""Train a detector, from where a killed training was."""

from tessera.detectors.settings import DetectorSettings
from tessera.detectors.train import train_detector
from tessera.job import job

with job(snakemake) as (inputs, outputs, params):
    train_detector(
        inputs.description.parent,
        inputs.checked,
        inputs.weights or None,
        outputs.weights,
        outputs.curves,
        outputs.weights.parent / "run",
        DetectorSettings(architecture=params.architecture, weights=params.weights, training=params.training),
        seed=params.seed,
        threads=snakemake.threads,
        code=params.code,
    )
