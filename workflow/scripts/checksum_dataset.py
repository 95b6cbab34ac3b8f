"""Write the checksums of all files of a dataset."""

from tessera.core.job import job
from tessera.core.provenance import write_checksums

with job(snakemake) as (inputs, outputs, params):
    samples = [file for folder in inputs.folders for file in folder.glob(params.pattern) if file.is_file()]
    write_checksums([*samples, *inputs.files], outputs.checksums.parent, outputs.checksums)
