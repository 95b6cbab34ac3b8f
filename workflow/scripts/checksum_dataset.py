"""Write the checksums of everything in a dataset."""

from tessera.core.job import job
from tessera.core.provenance import write_checksums

with job(snakemake) as (inputs, outputs, params):
    # Two levels down lie the samples; what Snakemake and ultralytics leave beside them lies elsewhere, or is hidden.
    samples = [file for folder in inputs.folders for file in folder.glob("*/[!.]*")]
    write_checksums([*samples, *inputs.files], outputs.checksums.parent, outputs.checksums)
