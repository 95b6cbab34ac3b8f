"""Write the card of the restoration model."""

from tessera.core.job import job
from tessera.pages.cards import Described, write_restoration_card

with job(snakemake) as (inputs, outputs, params):
    write_restoration_card(
        described=Described(
            model=snakemake.wildcards.model,
            purpose=params.purpose,
            not_for=params.not_for,
            files=[inputs.safetensors, inputs.application],
            checksums=inputs.checksums,
            datasheet=inputs.datasheet,
            metrics=inputs.metrics,
        ),
        export=inputs.export,
        records=inputs.records,
        data=outputs.data,
        text=outputs.text,
        settings=params.settings,
    )
