"""Check a dataset before a detector is trained on it."""

from tessera.core.job import job
from tessera.stages.detectors.dataset import check_dataset
from tessera.stages.detectors.library import task_of

with job(snakemake) as (inputs, outputs, params):
    check_dataset(
        folder=inputs.checksums.parent,
        task=task_of(params.architecture),
        remedy=params.remedy,
        report=outputs.report,
        threads=snakemake.threads,
    )
