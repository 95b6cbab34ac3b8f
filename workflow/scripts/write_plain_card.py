"""Write the card of a model of any kind."""

from tessera.core.job import job
from tessera.pages.cards import write_plain_card

with job(snakemake) as (inputs, outputs, params):
    write_plain_card(
        model=snakemake.wildcards.model,
        purpose=params.purpose,
        not_for=params.not_for,
        **{**vars(inputs), "export": inputs.export or None},
        **vars(outputs),
        settings=params.settings,
        seed=params.seed,
    )
