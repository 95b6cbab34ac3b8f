"""Write the checksums of all files of a dataset."""

from tessera.core.job import job
from tessera.core.provenance import write_checksums

with job(snakemake) as (inputs, outputs, params):
    # Samples lie two levels down. Files that Snakemake and ultralytics add lie elsewhere or are hidden.
    samples = [file for folder in inputs.folders for file in folder.glob("*/[!.]*")]
    write_checksums([*samples, *inputs.files], outputs.checksums.parent, outputs.checksums)
