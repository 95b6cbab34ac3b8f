"""Stop the run if too many items of a step failed, and list them with the reasons."""

import json
from itertools import islice

from tessera.core.job import job
from tessera.core.ledger import described, gate
from tessera.core.log import tell

with job(snakemake) as (inputs, outputs, params):
    ledgers = iter(inputs.ledgers)
    summary = {
        step: {
            "unit": details["unit"],
            **gate(snakemake.wildcards.gate, list(islice(ledgers, details["ledgers"])), params.max_failed),
        }
        for step, details in params.steps.items()
    }
    for step, counts in summary.items():
        tell(described(step, counts))
    outputs.summary.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
