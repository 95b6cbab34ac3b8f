"""Draw samples of each split with the outlines of their regions."""

from tessera.core.job import job
from tessera.pipeline.report.samples import describe_marks, describe_mosaics, draw_samples
from tessera.pipeline.report.settings import ReportSettings

with job(snakemake) as (inputs, outputs, params):
    captions = {**describe_mosaics(inputs.mosaics), **describe_marks(inputs.marks)}
    for split, path in vars(outputs).items():
        draw_samples(
            folder=inputs.images,
            selected=inputs.selected,
            regions=inputs.regions,
            splits=inputs.splits,
            split=split,
            captions=captions,
            settings=ReportSettings(**params.settings),
            seed=params.seed,
            path=path,
        )
