"""Find outputs that were lost or changed after a job wrote them."""

from pathlib import Path

from tessera.core.job import job
from tessera.core.verify import verify_outputs

with job(snakemake) as (inputs, outputs, params):
    expected = {
        Path(last.replace("<results>", params.results)): [Path(file.replace("<results>", params.results)) for file in files]
        for last, files in params.products.items()
    }
    verify_outputs(Path(params.logs), expected)
