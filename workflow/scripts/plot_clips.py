"""Draw clips of each split with the outlines of their masks, as animations and as rows of pictures."""

from tessera.core.job import job
from tessera.pages.report.clips import describe_clips, show_clips
from tessera.pages.report.settings import ReportSettings
from tessera.pages.report.tiles import choose_shown

with job(snakemake) as (inputs, outputs, params):
    captions = describe_clips(inputs.clips)
    outputs.samples.mkdir()
    for folder in inputs.folders:
        shown = choose_shown(
            splits=inputs.splits,
            split=folder.name,
            sources=inputs.sources,
            sets=params.sets,
            settings=ReportSettings(**params.settings),
            seed=params.seed,
            captions=captions,
        )
        # A split without clips has no figures.
        if shown.keys:
            show_clips(folder=folder, shown=shown, path=outputs.samples / f"{folder.name}.html")
