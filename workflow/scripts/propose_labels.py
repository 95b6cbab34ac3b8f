"""Write predictions as labelme files for a person to correct."""

from pathlib import Path

from tessera.core.job import job
from tessera.pipeline.previews.proposals import ProposalSettings, propose_labels

with job(snakemake) as (inputs, outputs, params):
    settings = ProposalSettings(**params.settings)
    propose_labels(
        sources=inputs.sources,
        frames=inputs.frames,
        predictions=inputs.predictions,
        labels=Path(params.labels) if params.labels else None,
        confidence=params.confidence,
        settings=settings,
        **vars(outputs),
    )
