"""Make the small videos and the posters of clips that the review page shows."""

from pathlib import Path

from tessera.core.job import job
from tessera.pages.review.media import make_proxies

with job(snakemake) as (inputs, outputs, params):
    make_proxies(
        items=inputs.table,
        budget=params.budget,
        threads=snakemake.threads,
        folder=Path(snakemake.output.ledger).parent / "proxies",
        ledger=outputs.ledger,
    )
