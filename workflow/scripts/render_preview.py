"""Draw the detections in the sources of a shard."""

from tessera.core.job import job
from tessera.pipeline.previews.rendering import RenderSettings, render_previews

with job(snakemake) as (inputs, outputs, params):
    settings = RenderSettings(**params.settings)
    render_previews(
        sources=inputs.sources,
        frames=inputs.frames,
        predictions=inputs.predictions,
        confidence=params.confidence,
        settings=settings,
        **vars(outputs),
    )
