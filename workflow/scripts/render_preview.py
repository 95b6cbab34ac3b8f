"""Draw the detections in the sources of a shard."""

from tessera.core.job import job
from tessera.imaging.sheets import RenderSettings
from tessera.records.confidence import with_confidences
from tessera.stages.detectors.rendering import render_previews

with job(snakemake) as (inputs, outputs, params):
    preview = with_confidences(settings=params.preview, part="preview", targets=params.targets, measured=inputs.measured)
    settings = RenderSettings(**params.settings)
    render_previews(
        sources=inputs.sources,
        stills=inputs.stills,
        frames=inputs.frames,
        predictions=inputs.predictions,
        confidence=preview["confidence"],
        settings=settings,
        **vars(outputs),
    )
