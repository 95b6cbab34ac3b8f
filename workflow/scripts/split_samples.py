"""Look up the split of each sample of a dataset."""

from tessera.core.job import job
from tessera.stages.datasets.splits import SplitSettings, split_samples

with job(snakemake) as (inputs, outputs, params):
    split_samples(**vars(inputs), **vars(outputs), required=params.needed, settings=SplitSettings(**params.settings))
