"""Train a detector, or resume its training after a kill."""

from tessera.core.job import job
from tessera.learning.trainings import Trainings
from tessera.records.tables.splits import trained_on
from tessera.stages.detectors.settings import DetectorSettings
from tessera.stages.detectors.train import train_detector

with job(snakemake) as (inputs, outputs, params):
    train_detector(
        dataset=inputs.description.parent,
        checked=inputs.checked,
        weights=inputs.weights or None,
        best=outputs.weights,
        curves=outputs.curves,
        record=outputs.record,
        # Not a param, because the number of trainings that are kept changes no output.
        trainings=Trainings(
            outputs.weights.parent / "runs", sources=trained_on(inputs.splits), **snakemake.config["trainings"]
        ),
        settings=DetectorSettings(architecture=params.architecture, weights=params.weights, training=params.training),
        seed=params.seed,
        threads=snakemake.threads,
        code=params.train_code,
    )
