"""Divide the pictures of a classifier into folds."""

from tessera.core.job import job
from tessera.extras.classifiers.folds import divide_into_folds
from tessera.extras.classifiers.settings import ClassifierSettings

with job(snakemake) as (inputs, outputs, params):
    settings = ClassifierSettings(**params.settings)
    divide_into_folds(
        dataset=inputs.pictures.parent,
        **vars(outputs),
        labels=settings.labels,
        count=params.folds,
        seed=params.seed,
    )
