"""Find the faults of a dataset before a detector is trained on it."""

from tessera.detectors.dataset import check_dataset
from tessera.detectors.settings import task_of
from tessera.job import job

with job(snakemake) as (inputs, outputs, params):
    check_dataset(inputs.checksums.parent, task_of(params.architecture), outputs.report, snakemake.threads)
