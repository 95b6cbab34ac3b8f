"""Select the labelled images that feed a dataset."""

from tessera.core.job import job
from tessera.pipeline.datasets.images import select_samples
from tessera.records.decisions import Decision

with job(snakemake) as (inputs, outputs, params):
    select_samples(
        images=inputs.images,
        annotations=inputs.annotations,
        duplicates=inputs.duplicates,
        sources=inputs.sources,
        decisions={row["key"]: Decision(**row) for row in params.decisions},
        splits=inputs.splits or None,
        backgrounds=params.backgrounds,
        dataset=snakemake.wildcards.dataset,
        remedy=params.remedy,
        selected=outputs.images,
        regions=outputs.annotations,
        ledger=outputs.ledger,
    )
