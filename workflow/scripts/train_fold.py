"""Train a classifier of all folds but one, or resume its training after a kill, and predict this one."""

from tessera.core.job import job
from tessera.extras.classifiers.settings import ClassifierSettings
from tessera.extras.classifiers.train import train_fold
from tessera.learning.trainings import Trainings
from tessera.records.tables.splits import sources_of

with job(snakemake) as (inputs, outputs, params):
    train_fold(
        dataset=inputs.checksums.parent,
        folds=inputs.folds,
        vectors=inputs.vectors or None,
        weights=inputs.weights or None,
        **vars(outputs),
        # A folder for each fold, because they are trained at the same time. The number of trainings that are kept is not a
        # param, because it changes no output.
        trainings=Trainings(
            outputs.predictions.parent / "runs",
            sources=tuple(sorted(set(sources_of(inputs.splits).values()))),
            **snakemake.config["trainings"],
        ),
        settings=ClassifierSettings(**params.settings),
        fold=int(snakemake.wildcards.fold),
        seed=params.seed,
        threads=snakemake.threads,
        code=params.train_code,
    )
