"""Write the checksums of all clips, and of what is said of them."""

from tessera.core.job import job
from tessera.core.provenance import write_checksums

with job(snakemake) as (inputs, outputs, params):
    # Two levels down lie the clips; what Snakemake leaves beside them is hidden.
    clips = [file for folder in inputs.folders for file in folder.glob("*/[!.]*")]
    write_checksums([*clips, *inputs.files], outputs.checksums.parent, outputs.checksums)
