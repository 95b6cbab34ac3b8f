"""Look up the split of each sample of a dataset."""

from tessera.core.job import job
from tessera.stages.datasets.splits import SplitSettings, assign_samples

with job(snakemake) as (inputs, outputs, params):
    assign_samples(**vars(inputs), **vars(outputs), required=params.needed, settings=SplitSettings(**params.settings))
