"""Search for better settings of a classifier, or resume its search after a kill."""

from tessera.core.job import job
from tessera.extras.classifiers.search import search_classifier
from tessera.extras.classifiers.settings import ClassifierSettings
from tessera.learning.search import SearchSettings
from tessera.records.tables.splits import trained_on

with job(snakemake) as (inputs, outputs, params):
    search_classifier(
        dataset=inputs.checksums.parent,
        vectors=inputs.vectors or None,
        weights=inputs.weights or None,
        **vars(outputs),
        trials_folder=inputs.checked.parent / "searches" / snakemake.wildcards.search / "runs",
        settings=ClassifierSettings(**params.settings),
        search=SearchSettings(**params.search),
        sources=trained_on(inputs.splits),
        seed=params.seed,
        threads=snakemake.threads,
        code=params.train_code,
    )
