"""Fetch pictures from the web, of which the rights are known."""

from pathlib import Path

from tessera.core.job import job
from tessera.extras.harvest.harvest import harvest_pictures
from tessera.extras.harvest.settings import ClientSettings

with job(snakemake) as (inputs, outputs, params):
    folder = Path(snakemake.output.ledger).parent
    harvest_pictures(
        tables=inputs.tables,
        blocklist=inputs.blocklist,
        blocklist_distance=params.blocklist_distance,
        settings=ClientSettings(**params.settings),
        placeholder_addresses=params.placeholder_addresses,
        cache=folder / "kept",
        final_folder=folder,
        **vars(outputs),
    )
