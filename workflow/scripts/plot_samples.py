"""Draw samples of each split with the outlines of their regions."""

from tessera.core.job import job
from tessera.pipeline.report.samples import describe_marks, describe_mosaics, draw_samples
from tessera.pipeline.report.settings import ReportSettings

with job(snakemake) as (inputs, outputs, params):
    settings = ReportSettings(**params.settings)
    captions = {**describe_mosaics(inputs.mosaics), **describe_marks(inputs.marks)}
    tables = inputs.images, inputs.selected, inputs.regions, inputs.splits
    for split, path in vars(outputs).items():
        draw_samples(*tables, split, captions, settings, params.seed, path)
