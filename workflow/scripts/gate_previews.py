"""Print where the previews lie, and stop the run if a source cannot be previewed."""

from pathlib import Path

from tessera.core.job import job
from tessera.stages.labels.proposals import gate_previews

with job(snakemake) as (inputs, outputs, params):
    gate_previews(
        ledgers=inputs.ledgers,
        reports=inputs.reports,
        sheets=inputs.sheets,
        previewed=params.previewed,
        asked=params.asked,
        proposals=Path(params.folder),
        **vars(outputs),
    )
