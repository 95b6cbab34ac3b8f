"""Search for better settings of a detector, or resume its search after a kill."""

from tessera.core.job import job
from tessera.learning.search import SearchSettings
from tessera.records.tables.splits import trained_on
from tessera.stages.detectors.search import search_detector
from tessera.stages.detectors.settings import DetectorSettings

with job(snakemake) as (inputs, outputs, params):
    search_detector(
        dataset=inputs.description.parent,
        checked=inputs.checked,
        weights=inputs.weights or None,
        **vars(outputs),
        cache=inputs.checked.parent / "searches" / snakemake.wildcards.search / "runs",
        settings=DetectorSettings(architecture=params.architecture, weights=params.weights, training=params.training),
        search=SearchSettings(**params.search),
        sources=trained_on(inputs.splits),
        seed=params.seed,
        threads=snakemake.threads,
        code=params.train_code,
    )
