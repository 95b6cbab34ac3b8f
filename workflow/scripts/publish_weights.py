"""Replace the published files of a model by verified ones, with their checksums."""

from tessera.core.job import job
from tessera.core.provenance import publish

with job(snakemake) as (inputs, outputs, params):
    publish(
        files=[*inputs.files, *inputs.card],
        copies=[*outputs.files, *outputs.card],
        checksums=outputs.checksums,
        unwanted=params.unwanted,
    )
