"""Draw samples of each split with the outlines of their regions."""

from tessera.core.job import job
from tessera.pages.report.samples import describe_marks, describe_mosaics, draw_samples
from tessera.pages.report.settings import ReportSettings
from tessera.pages.report.tiles import choose_shown

with job(snakemake) as (inputs, outputs, params):
    captions = {**describe_mosaics(inputs.mosaics), **describe_marks(inputs.marks)}
    outputs.samples.mkdir()
    for split in ("train", "val", "test"):
        shown = choose_shown(
            splits=inputs.splits,
            split=split,
            sources=inputs.sources,
            sets=params.sets,
            settings=ReportSettings(**params.settings),
            seed=params.seed,
            captions=captions,
            regions=inputs.regions,
        )
        # A split without samples has no figure.
        if shown.keys:
            draw_samples(
                folder=inputs.images,
                selected=inputs.selected,
                regions=inputs.regions,
                shown=shown,
                path=outputs.samples / f"{split}.html",
            )
