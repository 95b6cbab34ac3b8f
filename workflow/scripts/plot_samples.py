"""Draw samples of each split with the outlines of their regions."""

from tessera.core.job import job
from tessera.pipeline.report.samples import describe_marks, describe_mosaics, draw_samples
from tessera.pipeline.report.settings import ReportSettings
from tessera.pipeline.report.tiles import find_clear

with job(snakemake) as (inputs, outputs, params):
    settings = ReportSettings(**params.settings)
    clear = find_clear(splits=inputs.splits, sources=inputs.sources, sets=params.sets, settings=settings)
    captions = {**describe_mosaics(inputs.mosaics), **describe_marks(inputs.marks)}
    for split, path in vars(outputs).items():
        draw_samples(
            folder=inputs.images,
            selected=inputs.selected,
            regions=inputs.regions,
            splits=inputs.splits,
            split=split,
            captions=captions,
            clear=clear,
            settings=settings,
            seed=params.seed,
            path=path,
        )
