"""Select the clips of all shards by filters and by the decisions of people."""

from tessera.core.job import job
from tessera.records.decisions import Decision
from tessera.records.limits import FilterSettings
from tessera.stages.filters.filtering import filter_clips

with job(snakemake) as (inputs, outputs, params):
    filter_clips(
        clips=inputs.clips,
        scores=inputs.scores,
        classified={name: [path for path in inputs.classified if path.stem == name] for name in params.settings["classifiers"]},
        metrics=inputs.metrics,
        sources=inputs.sources,
        dataset=snakemake.wildcards.dataset,
        decisions={row["key"]: Decision(**row) for row in params.decisions},
        settings=FilterSettings(**params.settings),
        **vars(outputs),
    )
