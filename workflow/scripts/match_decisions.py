"""Tell which decisions on pictures of folders still mean one."""

from tessera.core.job import job
from tessera.pipeline.footage.decided import match_decisions
from tessera.records.decisions import Decision

with job(snakemake) as (inputs, outputs, params):
    match_decisions(
        frames=inputs.frames,
        decisions={row["key"]: Decision(**row) for row in params.decisions},
        ledger=outputs.ledger,
    )
