"""Join what the classifiers of all folds predict, and measure it."""

from tessera.core.job import job
from tessera.extras.classifiers.evaluate import evaluate_folds
from tessera.extras.classifiers.folds import join_predictions
from tessera.extras.classifiers.settings import ClassifierSettings

with job(snakemake) as (inputs, outputs, params):
    settings = ClassifierSettings(**params.settings)
    join_predictions(
        dataset=inputs.pictures.parent,
        vectors=inputs.vectors or None,
        tables=inputs.tables,
        path=outputs.predictions,
    )
    evaluate_folds(predictions=outputs.predictions, metrics=outputs.metrics, labels=settings.labels, seed=params.seed)
