"""Draw samples of each split with the outlines of their regions."""

from tessera.figures import ReportSettings, draw_samples
from tessera.job import job

with job(snakemake) as (inputs, outputs, params):
    settings = ReportSettings(**params.settings)
    for split, path in vars(outputs).items():
        draw_samples(inputs.images, inputs.selected, inputs.regions, inputs.splits, split, settings, params.seed, path)
