"""Choose, of all labelled images, those that feed a dataset."""

from tessera.core.job import job
from tessera.pipeline.datasets.images import select_samples
from tessera.records.decisions import Decision

with job(snakemake) as (inputs, outputs, params):
    select_samples(
        inputs.images,
        inputs.annotations,
        inputs.duplicates or None,
        inputs.sources,
        {row["key"]: Decision(**row) for row in params.decisions},
        snakemake.wildcards.dataset,
        outputs.images,
        outputs.annotations,
        outputs.ledger,
    )
