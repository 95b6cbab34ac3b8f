"""Write the card of a model of any kind."""

from tessera.core.job import job
from tessera.pages.cards import Described, write_plain_card

with job(snakemake) as (inputs, outputs, params):
    write_plain_card(
        described=Described(
            model=snakemake.wildcards.model,
            purpose=params.purpose,
            not_for=params.not_for,
            files=inputs.files,
            checksums=inputs.checksums,
            datasheet=inputs.datasheet,
            metrics=inputs.metrics,
        ),
        export=inputs.export or None,
        **vars(outputs),
        settings=params.settings,
        seed=params.seed,
    )
