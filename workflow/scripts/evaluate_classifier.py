"""Measure a classifier on the splits that it was not trained on."""

from tessera.core.job import job
from tessera.extras.classifiers.evaluate import evaluate_classifier
from tessera.extras.classifiers.settings import ClassifierSettings

with job(snakemake) as (inputs, outputs, params):
    evaluate_classifier(
        dataset=inputs.checksums.parent,
        vectors=inputs.vectors or None,
        classifier=inputs.classifier,
        curves=inputs.epochs,
        metrics=outputs.metrics,
        predictions=outputs.predictions,
        pictures=outputs.curves,
        settings=ClassifierSettings(**params.settings),
        seed=params.seed,
        threads=snakemake.threads,
    )
