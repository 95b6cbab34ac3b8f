"""Write the card of a detector."""

from tessera.core.job import job
from tessera.pages.cards import Described, write_model_card

with job(snakemake) as (inputs, outputs, params):
    write_model_card(
        described=Described(
            model=snakemake.wildcards.model,
            purpose=params.purpose,
            not_for=params.not_for,
            files=inputs.files,
            checksums=inputs.checksums,
            datasheet=inputs.datasheet,
            metrics=inputs.metrics,
        ),
        export=inputs.export,
        record=inputs.record,
        data=outputs.data,
        text=outputs.text,
        settings=params.settings,
    )
