"""Draw clips of each split with the outlines of their masks, and let them move."""

from tessera.core.job import job
from tessera.pipeline.report.clips import describe_clips, draw_clips, show_clips
from tessera.pipeline.report.settings import ReportSettings

with job(snakemake) as (inputs, outputs, params):
    settings, captions = ReportSettings(**params.settings), describe_clips(inputs.clips)
    for folder in inputs.folders:
        split = folder.name
        sample = folder, inputs.splits, split, captions, settings, params.seed
        draw_clips(*sample, getattr(outputs, split))
        show_clips(*sample, getattr(outputs, f"{split}_moving"))
