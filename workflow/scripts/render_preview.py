"""Draw what a detector saw in the sources of a shard."""

from tessera.core.job import job
from tessera.pipeline.previews.rendering import RenderSettings, render_previews

with job(snakemake) as (inputs, outputs, params):
    settings = RenderSettings(**params.settings)
    render_previews(inputs.sources, inputs.frames, inputs.predictions, params.confidence, settings, **vars(outputs))
