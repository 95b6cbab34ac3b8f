"""Tell which decisions on pictures of folders still mean one."""

from tessera.core.job import job
from tessera.records.decisions import Decision
from tessera.stages.footage.decided import match_decisions

with job(snakemake) as (inputs, outputs, params):
    match_decisions(
        frames=inputs.frames,
        decisions={row["key"]: Decision(**row) for row in params.decisions},
        ledger=outputs.ledger,
    )
