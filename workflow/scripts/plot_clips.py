"""Draw clips of each split with the outlines of their masks, and let them move."""

from tessera.core.job import job
from tessera.pipeline.report.clips import describe_clips, draw_clips, show_clips
from tessera.pipeline.report.settings import ReportSettings
from tessera.pipeline.report.tiles import find_clear

with job(snakemake) as (inputs, outputs, params):
    settings, captions = ReportSettings(**params.settings), describe_clips(inputs.clips)
    clear = find_clear(splits=inputs.splits, sources=inputs.sources, sets=params.sets, settings=settings)
    for folder in inputs.folders:
        split = folder.name
        sample = folder, inputs.splits, split, captions, clear, settings, params.seed
        draw_clips(*sample, getattr(outputs, split))
        show_clips(*sample, getattr(outputs, f"{split}_moving"))
