"""Stop the run where too many items of a room failed, and say which and why."""

import json

from tessera.job import job
from tessera.ledger import gate

with job(snakemake) as (inputs, outputs, params):
    summary = gate(snakemake.wildcards.room, inputs.ledgers, params.max_failed)
    outputs.summary.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
