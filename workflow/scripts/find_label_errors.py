"""Find labels of a classifier that may be wrong."""

from tessera.core.job import job
from tessera.extras.classifiers.label_errors import find_label_errors
from tessera.extras.classifiers.settings import ClassifierSettings
from tessera.records.decisions import Decision

with job(snakemake) as (inputs, outputs, params):
    settings = ClassifierSettings(**params.settings)
    find_label_errors(
        predictions=inputs.predictions,
        vectors=inputs.vectors or None,
        degraded=inputs.degraded,
        kept=[Decision(**row) for row in params.kept],
        labels=settings.labels,
        settings=settings.label_errors,
        classifier=snakemake.wildcards.model,
        **vars(outputs),
    )
