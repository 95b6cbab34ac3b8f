"""Write the checksums of the files of a model."""

from tessera.core.job import job
from tessera.core.provenance import write_checksums

with job(snakemake) as (inputs, outputs, params):
    write_checksums([*inputs.files, *inputs.card], outputs.checksums.parent, outputs.checksums)
