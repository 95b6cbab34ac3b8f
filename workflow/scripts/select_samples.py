"""Select the labelled images that feed a dataset."""

from tessera.core.job import job
from tessera.records.decisions import Decision
from tessera.records.limits import ScoreLimit
from tessera.stages.datasets.images import select_samples

with job(snakemake) as (inputs, outputs, params):
    select_samples(
        images=inputs.images,
        annotations=inputs.annotations,
        duplicates=inputs.duplicates,
        scored={name: [path for path in inputs.scored if path.stem == name] for name in params.drops},
        frame_filters={name: ScoreLimit(**limit) for name, limit in params.drops.items()},
        metrics=inputs.metrics,
        sources=inputs.sources,
        decisions={row["key"]: Decision(**row) for row in params.decisions},
        splits=inputs.splits or None,
        backgrounds=params.backgrounds,
        classes=params.classes,
        task=params.task,
        dataset=snakemake.wildcards.dataset,
        remedy=params.remedy,
        selected=outputs.images,
        regions=outputs.annotations,
        ledger=outputs.ledger,
    )
