"""Write which face sets are admitted, and why others are not."""

from tessera.core.job import job
from tessera.extras.face_sets.admit import write_admissions

with job(snakemake) as (inputs, outputs, params):
    write_admissions(params.rows, ledger=outputs.ledger)
