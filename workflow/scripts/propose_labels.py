"""Write predictions as label files for a person to correct."""

from pathlib import Path

from tessera.core.job import job
from tessera.records.confidence import with_confidences
from tessera.stages.labels.proposals import ProposalSettings, propose_labels

with job(snakemake) as (inputs, outputs, params):
    preview = with_confidences(settings=params.preview, part="preview", targets=params.targets, measured=inputs.measured)
    settings = ProposalSettings(**params.settings)
    propose_labels(
        sources=inputs.sources,
        stills=inputs.stills,
        frames=inputs.frames,
        predictions=inputs.predictions,
        labels=Path(params.labels) if params.labels else None,
        confidence=preview["confidence"],
        settings=settings,
        model=params.model,
        classes=params.classes,
        free=params.free,
        moved=params.moved,
        **vars(outputs),
    )
