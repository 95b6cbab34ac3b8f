"""Apply the decisions of people about identities."""

from tessera.core.job import job
from tessera.extras.identities.decide import decide_identities
from tessera.records.identities import IdentityDecision

with job(snakemake) as (inputs, outputs, params):
    decide_identities(
        identities=inputs.found,
        crops=inputs.crops,
        decisions=[IdentityDecision(**row) for row in params.decisions],
        **vars(outputs),
    )
