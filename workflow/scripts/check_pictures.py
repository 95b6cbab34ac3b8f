"""Check a dataset before a classifier is trained on it."""

from tessera.core.job import job
from tessera.extras.classifiers.dataset import check_pictures
from tessera.extras.classifiers.settings import ClassifierSettings

with job(snakemake) as (inputs, outputs, params):
    check_pictures(
        dataset=inputs.checksums.parent,
        labels=ClassifierSettings(**params.settings).labels,
        report=outputs.report,
        vectors=inputs.vectors or None,
        threads=snakemake.threads,
    )
