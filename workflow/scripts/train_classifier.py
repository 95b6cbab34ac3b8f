"""Train a classifier, or resume its training after a kill."""

from tessera.core.job import job
from tessera.extras.classifiers.settings import ClassifierSettings
from tessera.extras.classifiers.train import train_classifier
from tessera.learning.trainings import Trainings
from tessera.records.tables.splits import trained_on

with job(snakemake) as (inputs, outputs, params):
    train_classifier(
        dataset=inputs.checksums.parent,
        vectors=inputs.vectors or None,
        weights=inputs.weights or None,
        **vars(outputs),
        # Not a param, because the number of trainings that are kept changes no output.
        trainings=Trainings(outputs.best.parent / "runs", sources=trained_on(inputs.splits), **snakemake.config["trainings"]),
        settings=ClassifierSettings(**params.settings),
        seed=params.seed,
        threads=snakemake.threads,
        code=params.train_code,
    )
